// Runs a plan: the batches of an epoch, one after the other, without returning to Python.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "plan/extents.h"
#include "plan/plan.h"
#include "runtime/thread_choice.h"
#include "runtime/threads.h"
#include "tasks/building.h"

namespace chainrule {

// Thrown where a plan is touched while it runs.
class PlanRunningError : public std::exception {
 public:
  const char* what() const noexcept override {
    return "the plan is running in another thread; give each thread a plan of its own";
  }
};

enum class Status : std::uint8_t { ok, non_finite, index_out_of_range };

struct RunRequest {
  std::optional<std::span<const std::int64_t>> order;  // rows of the inputs, batch after batch
  std::int64_t first = 0;                              // step of the order to begin with
  std::int64_t steps = 0;
  // Steps x registered scalars; without them they are as their places hold them.
  std::optional<std::span<const double>> scalars;
  std::span<const double> totals;  // what the sums begin with; empty for 0
  // No further step begins after this many seconds, or once `ends`, which may be empty, is true.
  double seconds = std::numeric_limits<double>::infinity();
  std::function<bool()> ends;
  std::int32_t threads = 1;
};

struct RunResult {
  std::int64_t steps = 0;      // that ran to their end
  std::vector<double> totals;  // those given, and the weighted sums over those steps, one by one
  std::vector<double> last;    // the values after the last of those steps, without weights
  Status status = Status::ok;
  std::string label;  // the instruction that failed, or wrote a number that is not finite
};

struct Timing {
  std::string label;
  std::int64_t calls;
  double seconds;
};

// Every function throws PlanRunningError while `run` is at work, and std::invalid_argument for what
// could not be run safely.
class Executor final : private SharedWork {
 public:
  // `memory` outlives the executor. Each instruction is split into at most `chunks` parts; 0 leaves
  // it to the tasks, which look at shapes alone.
  Executor(const Memory& memory, const SpaceSizes& sizes, const KernelTable& kernels,
           std::int64_t chunks);

  void add(const Instruction& instruction);
  // The array outlives the executor, or the next call for its number.
  void bind_input(std::int64_t number, const Input& input);
  void add_scalar(Ref place);
  void add_total(Ref place, DType dtype, std::int64_t count, double weight, bool finite);
  void profile(bool on);
  std::vector<Timing> times() const;
  // Of all programs, epilogues of products among them.
  std::int64_t fused_chains() const;
  RunResult run(const RunRequest& request);
  // Of all runs. A mean of a run beside other threads counts how long it waited for a CPU.
  double least_seconds_a_step() const {
    return least_seconds_a_step_.load(std::memory_order_relaxed);
  }
  // From now on every run keeps the rows of states that it overwrites (see PutRows).
  void keep_rows();
  // Takes back, in the order from the last to the first, what the last run has put into rows of
  // states; other changes stay.
  void undo_rows();
  // Whether all that the last run has put into rows of states is finite.
  bool has_finite_rows() const;

 private:
  class Deadline;
  // One thread at a time.
  class Entry {
   public:
    explicit Entry(std::atomic<bool>& is_running) : is_running_(is_running) {
      if (is_running.exchange(true, std::memory_order_acquire)) throw PlanRunningError();
    }
    ~Entry() { is_running_.store(false, std::memory_order_release); }
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;

   private:
    std::atomic<bool>& is_running_;
  };

  struct ScheduledTask {
    std::unique_ptr<Task> task;
    std::string label;
    std::vector<Extent> writes;
    RowLog* log;
    std::int64_t row_chain;  // see plan/row_chains.h
    std::int64_t calls = 0;
    double seconds = 0;
  };
  struct Total {
    Ref place;
    const std::byte* data;
    DType dtype;
    std::int64_t count;
    double weight;
    bool finite;
  };
  struct AlignedDelete {
    void operator()(std::byte* data) const;
  };
  using Scratch = std::unique_ptr<std::byte[], AlignedDelete>;

  void check_input(const GatherBatch& gather) const;
  void check(const RunRequest& request) const;
  void check_order(const RunRequest& request) const;
  void prepare_scratch(std::int32_t threads);
  // Up to `most` of the steps that are left; whether more may follow.
  bool run_steps(const RunRequest& request, RunResult& result, std::int64_t most,
                 Deadline& deadline, ThreadTeam& team);
  template <bool timed>
  const ScheduledTask* run_step(ThreadTeam& team) noexcept;
  template <bool timed>
  void run_row_chain(std::span<ScheduledTask> chain, ThreadTeam& team) noexcept;
  // The instructions of the chain that begins with this one.
  std::span<ScheduledTask> row_chain_from(std::size_t first);
  void run_chunk(std::int32_t chunk, std::int32_t thread) noexcept override;
  void run_block(std::int32_t block, std::int32_t thread) noexcept;
  // The total that is not finite, if any.
  const Total* add_totals(RunResult& result) const noexcept;
  std::string last_writer(const Total& total) const;

  Memory memory_;
  SpaceSizes sizes_;
  const KernelTable& kernels_;
  std::int32_t chunks_;
  std::vector<ScheduledTask> instructions_;
  std::vector<GatherBatch> gathers_;
  std::vector<Input> inputs_ = std::vector<Input>(most_inputs);
  std::vector<double*> scalars_;
  std::vector<Total> totals_;
  std::vector<RowLog*> logs_;     // of the instructions that have one, in their order
  std::vector<Scratch> scratch_;  // by thread
  std::int64_t scratch_bytes_ = 0;
  bool is_profiled_ = false;
  ThreadChoice thread_choice_;
  std::atomic<double> least_seconds_a_step_ = std::numeric_limits<double>::infinity();
  mutable std::atomic<bool> is_running_ = false;

  // Of the chunk's instruction, while a step runs.
  const Task* task_ = nullptr;
  std::span<ScheduledTask> row_chain_;  // where it is not empty, what runs is a block of its rows
  const std::int64_t* batch_ = nullptr;
  std::atomic<bool> has_failed_ = false;
};

}  // namespace chainrule
