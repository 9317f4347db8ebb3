#include "runtime/executor.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <new>
#include <stdexcept>
#include <utility>

#include "plan/names.h"
#include "plan/row_chains.h"
#include "plan/validator.h"
#include "tasks/row_log.h"

namespace chainrule {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::align_val_t scratch_alignment{cache_line};

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

[[noreturn]] void refuse(const std::string& reason) { throw std::invalid_argument(reason); }

// The number of the chain that an instruction belongs to; 0: none.
std::int64_t row_chain_of(const Instruction& instruction) {
  return std::visit(
      [](const auto& work) -> std::int64_t {
        if constexpr (requires { work.chain; }) return work.chain;
        return 0;
      },
      instruction.work);
}

}  // namespace

// Decides when to look at the clock, which takes as long as a small instruction: about every 20 us.
class Executor::Deadline {
 public:
  explicit Deadline(double seconds) : seconds_(seconds) {}

  // After each step.
  bool has_passed() {
    if (--steps_to_skip_ > 0) return false;
    const double now = seconds_since(begin_);
    // Never many more steps than before: a step may take longer than the last ones.
    constexpr double interval = 20e-6;
    skipped_ = now - looked_at_ < interval ? std::min(2 * skipped_, 64) : std::max(skipped_ / 2, 1);
    steps_to_skip_ = skipped_;
    looked_at_ = now;
    return now >= seconds_;
  }

 private:
  Clock::time_point begin_ = Clock::now();
  double seconds_;
  double looked_at_ = 0;
  int skipped_ = 1;
  int steps_to_skip_ = 1;
};

void Executor::AlignedDelete::operator()(std::byte* data) const {
  ::operator delete[](data, scratch_alignment);
}

Executor::Executor(const Memory& memory, const SpaceSizes& sizes, const KernelTable& kernels,
                   std::int64_t chunks)
    : memory_(memory),
      sizes_(sizes),
      kernels_(kernels),
      chunks_(static_cast<std::int32_t>(chunks)) {
  if (chunks < 0 || chunks > most_chunks) {
    refuse("chunks must be 0 to " + std::to_string(most_chunks) + ", got " +
           std::to_string(chunks));
  }
}

void Executor::add(const Instruction& instruction) {
  const Entry entry(is_running_);
  std::vector<Extent> writes = validate(instruction, sizes_);
  if (const auto* gather = std::get_if<GatherBatch>(&instruction.work)) {
    if (!gathers_.empty() && gathers_.front().rows != gather->rows) {
      refuse(instruction.label + ": " + std::to_string(gather->rows) +
             " rows, but the batch of this plan has " + std::to_string(gathers_.front().rows));
    }
    check_input(*gather);
  }
  const Building building = {instruction.label, chunks_, memory_, kernels_, inputs_};
  std::unique_ptr<Task> task =
      std::visit([&](const auto& work) { return make_task(work, building); }, instruction.work);
  const std::int64_t chain = row_chain_of(instruction);
  if (chain != 0 && !instructions_.empty() && instructions_.back().row_chain == chain &&
      instructions_.back().task->rows() != task->rows()) {
    refuse(instruction.label + ": " + std::to_string(task->rows()) + " rows, but the chain has " +
           std::to_string(instructions_.back().task->rows()));
  }
  const std::int64_t scratch = task->scratch_bytes();
  RowLog* const log = task->log();
  if (log != nullptr) logs_.push_back(log);
  instructions_.push_back({std::move(task), instruction.label, std::move(writes), log, chain});
  if (const auto* gather = std::get_if<GatherBatch>(&instruction.work)) {
    gathers_.push_back(*gather);
  }
  if (scratch > scratch_bytes_) {
    scratch_bytes_ = scratch;
    scratch_.clear();
  }
}

void Executor::check_input(const GatherBatch& gather) const {
  const Input& input = inputs_[static_cast<std::size_t>(gather.input)];
  if (!input.is_bound) return;
  const std::string number = "input " + std::to_string(gather.input);
  if (input.columns != gather.columns) {
    refuse(number + ": rows of " + std::to_string(input.columns) + " elements, the plan takes " +
           std::to_string(gather.columns));
  }
  if (input.dtype != gather.dtype && !is_computed_in(gather.dtype)) {
    refuse(number + ": no conversion from " + std::string(name_of(input.dtype)) + " to " +
           std::string(name_of(gather.dtype)));
  }
}

void Executor::bind_input(std::int64_t number, const Input& input) {
  const Entry entry(is_running_);
  if (number < 0 || number >= static_cast<std::int64_t>(inputs_.size())) {
    refuse("inputs are numbered 0 to " + std::to_string(most_inputs - 1) + ", got " +
           std::to_string(number));
  }
  Input& bound = inputs_[static_cast<std::size_t>(number)];
  const Input before = std::exchange(bound, input);
  bound.is_bound = true;
  try {
    for (const GatherBatch& gather : gathers_) {
      if (gather.input == number) check_input(gather);
    }
  } catch (...) {
    bound = before;
    throw;
  }
}

void Executor::add_scalar(Ref place) {
  const Entry entry(is_running_);
  validate_place("a scalar", place, DType::float64, 1, sizes_);
  scalars_.push_back(memory_.at<double>(place));
}

void Executor::add_total(Ref place, DType dtype, std::int64_t count, double weight, bool finite) {
  const Entry entry(is_running_);
  validate_place("a total", place, dtype, count, sizes_);
  totals_.push_back({place, memory_.at(place), dtype, count, weight, finite});
}

void Executor::profile(bool on) {
  const Entry entry(is_running_);
  if (on) {
    for (ScheduledTask& instruction : instructions_) {
      instruction.calls = 0;
      instruction.seconds = 0;
    }
  }
  is_profiled_ = on;
}

std::vector<Timing> Executor::times() const {
  const Entry entry(is_running_);
  std::vector<Timing> times;
  for (const ScheduledTask& instruction : instructions_) {
    times.push_back({instruction.label, instruction.calls, instruction.seconds});
  }
  return times;
}

std::int64_t Executor::fused_chains() const {
  const Entry entry(is_running_);
  std::int64_t count = 0;
  for (const ScheduledTask& instruction : instructions_) count += instruction.task->fused_chains();
  return count;
}

void Executor::check_order(const RunRequest& request) const {
  if (gathers_.empty()) return;
  if (!request.order) refuse("the plan takes rows of inputs: it needs an order");
  const std::int64_t batch = gathers_.front().rows;
  const std::span<const std::int64_t> order = *request.order;
  const auto batches = static_cast<std::int64_t>(order.size()) / batch;
  if (request.first > batches || request.steps > batches - request.first) {
    refuse(std::to_string(request.steps) + " steps from step " + std::to_string(request.first) +
           " on, of " + std::to_string(batch) + " rows each, but the order has " +
           std::to_string(order.size()) + " rows");
  }
  std::int64_t rows = std::numeric_limits<std::int64_t>::max();
  for (const GatherBatch& gather : gathers_) {
    const Input& input = inputs_[static_cast<std::size_t>(gather.input)];
    if (!input.is_bound) refuse("input " + std::to_string(gather.input) + " is not bound");
    rows = std::min(rows, input.rows);
  }
  for (const std::int64_t row : order.subspan(static_cast<std::size_t>(request.first * batch),
                                              static_cast<std::size_t>(request.steps * batch))) {
    if (row < 0 || row >= rows) {
      refuse("row " + std::to_string(row) + " of the order: the inputs have " +
             std::to_string(rows) + " rows");
    }
  }
}

void Executor::check(const RunRequest& request) const {
  if (request.first < 0 || request.steps < 0) refuse("first and steps must not be negative");
  check_threads(request.threads);
  if (!(request.seconds >= 0)) refuse("seconds must not be negative");
  // Compared by a division: a product of the user's numbers may overflow.
  const std::size_t count = scalars_.size();
  const std::size_t given = request.scalars ? request.scalars->size() : 0;
  const std::size_t rows = count == 0 ? 0 : given / count;
  if (count != 0 && request.scalars &&
      (given % count != 0 || static_cast<std::int64_t>(rows) < request.steps)) {
    refuse("scalars must have " + std::to_string(request.steps) + " rows of " +
           std::to_string(count) + ", got " + std::to_string(given) + " numbers");
  }
  check_order(request);
}

void Executor::prepare_scratch(std::int32_t threads) {
  if (scratch_bytes_ == 0) scratch_bytes_ = cache_line;
  while (scratch_.size() < static_cast<std::size_t>(threads)) {
    scratch_.emplace_back(static_cast<std::byte*>(
        ::operator new[](static_cast<std::size_t>(scratch_bytes_), scratch_alignment)));
  }
}

RunResult Executor::run(const RunRequest& request) {
  const Entry entry(is_running_);
  check(request);
  RunResult result;
  std::size_t count = 0;
  for (const Total& total : totals_) count += static_cast<std::size_t>(total.count);
  if (!request.totals.empty() && request.totals.size() != count) {
    refuse("totals must have " + std::to_string(count) + " numbers, got " +
           std::to_string(request.totals.size()));
  }
  result.totals.assign(request.totals.begin(), request.totals.end());
  result.totals.resize(count);
  result.last.resize(count);
  if (request.steps == 0) return result;

  // No more threads than there is work for, and none where nothing is shared.
  std::int32_t most = 1;
  for (const ScheduledTask& instruction : instructions_) {
    const Task& task = *instruction.task;
    most = std::max(most, instruction.row_chain == 0
                              ? task.chunks()
                              : static_cast<std::int32_t>(row_blocks(task.rows())));
  }
  const std::int32_t threads = std::min(request.threads, most);
  prepare_scratch(threads);
  const DenormalsAsZero denormals_as_zero;
  has_failed_.store(false, std::memory_order_relaxed);
  for (RowLog* const log : logs_) log->clear();
  const auto begin = Clock::now();
  Deadline deadline(request.seconds);
  for (bool goes_on = true; goes_on && result.steps < request.steps;) {
    // Chunks that were asked for are always shared.
    const ThreadChoice::Turn turn =
        chunks_ == 0 ? thread_choice_.next(threads) : ThreadChoice::Turn{threads, request.steps};
    const std::int64_t before = result.steps;
    const auto turn_begin = Clock::now();
    ThreadTeam team(turn.threads);
    goes_on = run_steps(request, result, turn.most_steps, deadline, team);
    thread_choice_.note(turn, result.steps - before, seconds_since(turn_begin));
  }
  if (result.steps != 0) {
    const double mean = seconds_since(begin) / static_cast<double>(result.steps);
    least_seconds_a_step_.store(std::min(mean, least_seconds_a_step()), std::memory_order_relaxed);
  }
  return result;
}

bool Executor::run_steps(const RunRequest& request, RunResult& result, std::int64_t most,
                         Deadline& deadline, ThreadTeam& team) {
  const std::int64_t batch = gathers_.empty() ? 0 : gathers_.front().rows;
  batch_ = batch == 0 ? nullptr : request.order->data() + (request.first + result.steps) * batch;
  const std::span<double* const> places =
      request.scalars ? std::span<double* const>(scalars_) : std::span<double* const>();
  const double* scalars =
      places.empty()
          ? nullptr
          : request.scalars->data() + static_cast<std::size_t>(result.steps) * places.size();
  const std::int64_t end = result.steps + std::min(most, request.steps - result.steps);
  while (result.steps < end) {
    for (double* const place : places) *place = *scalars++;
    const ScheduledTask* const failed = is_profiled_ ? run_step<true>(team) : run_step<false>(team);
    if (failed != nullptr) {
      result.status = Status::index_out_of_range;
      result.label = failed->label;
      return false;
    }
    batch_ += batch;
    ++result.steps;
    if (const Total* const total = add_totals(result)) {
      result.status = Status::non_finite;
      result.label = last_writer(*total);
      return false;
    }
    if (deadline.has_passed() || (request.ends && request.ends())) return false;
    if (std::ranges::any_of(logs_, &RowLog::is_full)) return false;
  }
  return true;
}

void Executor::keep_rows() {
  const Entry entry(is_running_);
  for (RowLog* const log : logs_) log->keep();
}

void Executor::undo_rows() {
  const Entry entry(is_running_);
  std::int64_t calls = 0;
  for (const RowLog* const log : logs_) calls = std::max(calls, log->calls());
  // A step that failed has done the first of its instructions alone. No std::views::reverse: clang
  // before 16 does not compile that of GCC's library.
  for (; calls > 0; --calls) {
    for (auto log = logs_.rbegin(); log != logs_.rend(); ++log) {
      if ((*log)->calls() == calls) (*log)->undo_call();
    }
  }
}

bool Executor::has_finite_rows() const {
  const Entry entry(is_running_);
  return std::ranges::all_of(logs_, &RowLog::is_finite);
}

// The instruction that failed, if any.
template <bool timed>
const Executor::ScheduledTask* Executor::run_step(ThreadTeam& team) noexcept {
  for (std::size_t i = 0; i < instructions_.size(); ++i) {
    ScheduledTask& instruction = instructions_[i];
    if (instruction.row_chain != 0) {
      const std::span<ScheduledTask> chain = row_chain_from(i);
      run_row_chain<timed>(chain, team);
      i += chain.size() - 1;
      continue;
    }
    [[maybe_unused]] const auto begin = timed ? Clock::now() : Clock::time_point();
    const Task& task = *instruction.task;
    if (task.chunks() == 1) {
      if (!task.run(0, {scratch_[0].get(), batch_})) return &instruction;
    } else {
      task_ = &task;
      team.run(*this, task.chunks());
      if (has_failed_.load(std::memory_order_relaxed)) return &instruction;
    }
    if (instruction.log != nullptr) instruction.log->count_call();
    if constexpr (timed) {
      ++instruction.calls;
      instruction.seconds += seconds_since(begin);
    }
  }
  return nullptr;
}

std::span<Executor::ScheduledTask> Executor::row_chain_from(std::size_t first) {
  std::size_t end = first + 1;
  while (end < instructions_.size() &&
         instructions_[end].row_chain == instructions_[first].row_chain)
    ++end;
  return std::span(instructions_).subspan(first, end - first);
}

template <bool timed>
void Executor::run_row_chain(std::span<ScheduledTask> chain, ThreadTeam& team) noexcept {
  row_chain_ = chain;
  team.run(*this, static_cast<std::int32_t>(row_blocks(chain.front().task->rows())));
  row_chain_ = {};
  if constexpr (timed) {
    for (ScheduledTask& instruction : chain) ++instruction.calls;
  }
}

// A block of the rows of all of the chain's instructions. The first thread measures the time that
// it needs for each of them: none, where the others have taken all blocks.
void Executor::run_block(std::int32_t block, std::int32_t thread) noexcept {
  const std::int64_t rows = row_chain_.front().task->rows();
  const std::int64_t begin = first_row(block, rows), end = first_row(block + 1, rows);
  const Worker worker = {scratch_[static_cast<std::size_t>(thread)].get(), batch_};
  const bool is_timed = is_profiled_ && thread == 0;
  for (ScheduledTask& instruction : row_chain_) {
    const auto before = is_timed ? Clock::now() : Clock::time_point();
    instruction.task->run_rows(begin, end, worker);
    if (is_timed) instruction.seconds += seconds_since(before);
  }
}

void Executor::run_chunk(std::int32_t chunk, std::int32_t thread) noexcept {
  if (!row_chain_.empty()) return run_block(chunk, thread);
  const bool done = task_->run(chunk, {scratch_[static_cast<std::size_t>(thread)].get(), batch_});
  if (!done) has_failed_.store(true, std::memory_order_relaxed);
}

const Executor::Total* Executor::add_totals(RunResult& result) const noexcept {
  const Total* not_finite = nullptr;
  std::size_t at = 0;
  for (const Total& total : totals_) {
    with_type(total.dtype, [&]<typename T>(T*) {
      const T* const values = reinterpret_cast<const T*>(total.data);
      for (std::int64_t i = 0; i < total.count; ++i, ++at) {
        const auto value = static_cast<double>(values[i]);
        result.last[at] = value;
        result.totals[at] += total.weight * value;
        if (total.finite && !std::isfinite(value) && not_finite == nullptr) not_finite = &total;
      }
    });
  }
  return not_finite;
}

std::string Executor::last_writer(const Total& total) const {
  const auto writes_it = [&](const Extent& extent) {
    return extent.space == total.place.space && extent.begin <= total.place.offset &&
           total.place.offset < extent.end;
  };
  const auto writer = std::find_if(instructions_.rbegin(), instructions_.rend(),
                                   [&](const ScheduledTask& instruction) {
                                     return std::ranges::any_of(instruction.writes, writes_it);
                                   });
  return writer == instructions_.rend() ? std::string() : writer->label;
}

}  // namespace chainrule
