#include "runtime/threads.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>

#include "plan/plan.h"

#if defined(__SSE2__) || defined(_M_X64)
#include <immintrin.h>
#define CHAINRULE_X86
#endif
#if !defined(_WIN32)
#include <pthread.h>
#endif

namespace chainrule {
namespace {

using Clock = std::chrono::steady_clock;

// Long enough to bridge the work of one thread between two shared instructions.
constexpr int worker_pauses = 2000;
constexpr int caller_pauses = 1000;
// Long enough to bridge what Python does between two calls; then the worker sleeps.
constexpr auto yielding = std::chrono::microseconds(500);

void pause() {
#if defined(CHAINRULE_X86)
  _mm_pause();
#elif defined(__aarch64__) && !defined(_MSC_VER)
  asm volatile("isb");
#endif
}

// The chunks that are left, packed into one word:
//
//   | epoch (40 bits) | end (12 bits) | begin (12 bits) |     chunks begin ... end - 1 are left
//
// A thread takes a chunk from either end with compare-exchange, which fails if any of the three has
// changed. So a thread that has taken a chunk knows which work (epoch) the chunk belongs to, and
// that this work cannot end before the chunk is done.
//
// The caller takes from the front, every second worker from the back: so each finds in its cache
// the part of the last instruction's results that it has written itself.
class Ticket {
 public:
  constexpr Ticket() = default;
  constexpr explicit Ticket(std::uint64_t bits) : bits_(bits) {}
  constexpr Ticket following(std::int32_t chunks) const {
    const std::uint64_t epoch = (bits_ >> 2 * width) + 1;
    return Ticket(epoch << 2 * width | static_cast<std::uint64_t>(chunks) << width);
  }
  constexpr Ticket without_first() const { return Ticket(bits_ + 1); }
  constexpr Ticket without_last() const { return Ticket(bits_ - (limit + 1)); }
  constexpr std::int32_t begin() const { return static_cast<std::int32_t>(bits_ & limit); }
  constexpr std::int32_t end() const { return static_cast<std::int32_t>(bits_ >> width & limit); }
  constexpr bool is_open() const { return begin() < end(); }
  constexpr std::uint64_t bits() const { return bits_; }

 private:
  // From the lowest bit: `begin`, `end`, the epoch.
  static constexpr int width = 12;
  static constexpr std::uint64_t limit = (1 << width) - 1;
  static_assert(most_chunks <= limit);

  std::uint64_t bits_ = 0;
};

}  // namespace

class ThreadPool {
 public:
  // The process's pool. It is never destroyed: workers may outlive the interpreter by a moment.
  static ThreadPool& instance();

  bool try_enter(std::int32_t workers);
  void leave() { in_use_.store(false, std::memory_order_release); }
  void run(SharedWork& work, std::int32_t chunks) noexcept;

 private:
  void grow(std::int32_t workers);
  void work(std::int32_t member);
  void idle(std::int32_t member);
  void sleep(std::int32_t member);
  void wake();
  bool run_next(Ticket ticket, std::int32_t member) noexcept;
  bool has_work(std::int32_t member) const {
    return Ticket(ticket_.load()).is_open() && member <= members_.load(std::memory_order_relaxed);
  }

  // Each on its own cache line: workers write done_ while others watch ticket_.
  alignas(cache_line) std::atomic<std::uint64_t> ticket_ = 0;
  alignas(cache_line) std::atomic<std::int32_t> done_ = 0;
  // Written by the caller only, before it publishes a ticket.
  alignas(cache_line) SharedWork* work_ = nullptr;
  std::atomic<std::int32_t> members_ = 0;
  std::atomic<bool> in_use_ = false;
  std::int32_t started_ = 0;  // written by the caller that has entered

  std::mutex mutex_;
  std::condition_variable awake_;
  std::atomic<std::int32_t> sleeping_ = 0;  // written under the mutex
  const std::int32_t cpus_ =
      std::max(1, static_cast<std::int32_t>(std::thread::hardware_concurrency()));
};

namespace {

std::atomic<ThreadPool*> current_pool = nullptr;

}  // namespace

ThreadPool& ThreadPool::instance() {
  if (ThreadPool* pool = current_pool.load(std::memory_order_acquire)) return *pool;
  static std::mutex making;
  const std::scoped_lock lock(making);
  if (ThreadPool* pool = current_pool.load(std::memory_order_acquire)) return *pool;
#if !defined(_WIN32)
  // A forked process has none of the threads, and locks as they happened to be: it starts anew.
  [[maybe_unused]] static const int registered =
      pthread_atfork(nullptr, nullptr, [] { current_pool.store(nullptr); });
#endif
  auto* const pool = new ThreadPool;
  current_pool.store(pool, std::memory_order_release);
  return *pool;
}

bool ThreadPool::try_enter(std::int32_t workers) {
  if (in_use_.exchange(true, std::memory_order_acquire)) return false;
  try {
    grow(workers);
  } catch (const std::system_error&) {
    // Fewer workers do the same work.
  }
  members_.store(std::min(workers, started_), std::memory_order_relaxed);
  if (sleeping_.load(std::memory_order_relaxed) != 0) wake();
  return true;
}

void ThreadPool::grow(std::int32_t workers) {
  for (; started_ < workers; ++started_) {
    std::thread([this, member = started_ + 1] { work(member); }).detach();
  }
}

// Runs a chunk of the ticket, which is open, and returns true; or false, if it may no longer be the
// present one.
bool ThreadPool::run_next(Ticket ticket, std::int32_t member) noexcept {
  const bool from_front = member % 2 == 0;
  const Ticket rest = from_front ? ticket.without_first() : ticket.without_last();
  const std::int32_t chunk = from_front ? ticket.begin() : rest.end();
  std::uint64_t bits = ticket.bits();
  if (!ticket_.compare_exchange_weak(bits, rest.bits(), std::memory_order_acq_rel,
                                     std::memory_order_relaxed)) {
    return false;
  }
  work_->run_chunk(chunk, member);
  return true;
}

void ThreadPool::run(SharedWork& work, std::int32_t chunks) noexcept {
  work_ = &work;
  done_.store(0, std::memory_order_relaxed);
  Ticket ticket = Ticket(ticket_.load(std::memory_order_relaxed)).following(chunks);
  // Sequentially consistent, as is what sleep() does: either a worker that is about to sleep sees
  // this ticket, or it is seen here.
  ticket_.store(ticket.bits());
  if (sleeping_.load() != 0) wake();
  std::int32_t mine = 0;
  while (ticket.is_open()) {
    if (run_next(ticket, 0)) ++mine;
    ticket = Ticket(ticket_.load(std::memory_order_relaxed));
  }
  const int pauses = members_.load(std::memory_order_relaxed) < cpus_ ? caller_pauses : 0;
  for (int i = 0; done_.load(std::memory_order_acquire) + mine < chunks; ++i) {
    if (i < pauses) {
      pause();
    } else {
      std::this_thread::yield();
    }
  }
}

void ThreadPool::work(std::int32_t member) {
  const DenormalsAsZero denormals_as_zero;
  for (;;) {
    Ticket ticket(ticket_.load(std::memory_order_acquire));
    if (ticket.is_open() && member <= members_.load(std::memory_order_relaxed)) {
      if (run_next(ticket, member)) done_.fetch_add(1, std::memory_order_release);
    } else {
      idle(member);
    }
  }
}

void ThreadPool::idle(std::int32_t member) {
  const std::int32_t members = members_.load(std::memory_order_relaxed);
  const auto is_open = [&] { return Ticket(ticket_.load(std::memory_order_relaxed)).is_open(); };
  if (member <= members) {
    // With more threads than CPUs, spinning takes a CPU from a thread that has work.
    for (int i = 0; i < worker_pauses && members < cpus_; ++i) {
      if (is_open()) return;
      pause();
    }
    const auto begin = Clock::now();
    while (Clock::now() - begin < yielding) {
      if (is_open()) return;
      std::this_thread::yield();
    }
  }
  sleep(member);
}

void ThreadPool::sleep(std::int32_t member) {
  std::unique_lock lock(mutex_);
  sleeping_.fetch_add(1);
  if (has_work(member)) {
    sleeping_.fetch_sub(1);
  } else {
    awake_.wait(lock);
  }
}

void ThreadPool::wake() {
  {
    const std::scoped_lock lock(mutex_);
    sleeping_.store(0);
  }
  awake_.notify_all();
}

void check_threads(std::int64_t threads) {
  if (threads < 1 || threads > most_threads) {
    throw std::invalid_argument("threads must be from 1 to " + std::to_string(most_threads) +
                                ", got " + std::to_string(threads));
  }
}

ThreadTeam::ThreadTeam(std::int32_t threads) {
  if (threads < 2) return;
  ThreadPool& pool = ThreadPool::instance();
  if (pool.try_enter(threads - 1)) pool_ = &pool;
}

ThreadTeam::~ThreadTeam() {
  if (pool_ != nullptr) pool_->leave();
}

void ThreadTeam::run(SharedWork& work, std::int32_t chunks) noexcept {
  if (pool_ != nullptr && chunks > 1) {
    pool_->run(work, chunks);
  } else {
    for (std::int32_t chunk = 0; chunk < chunks; ++chunk) work.run_chunk(chunk, 0);
  }
}

#if defined(CHAINRULE_X86)

DenormalsAsZero::DenormalsAsZero() : before_(_mm_getcsr()) {
  constexpr unsigned flush_to_zero = 0x8000;
  constexpr unsigned denormals_are_zero = 0x0040;
  _mm_setcsr(static_cast<unsigned>(before_) | flush_to_zero | denormals_are_zero);
}
DenormalsAsZero::~DenormalsAsZero() { _mm_setcsr(static_cast<unsigned>(before_)); }

#elif defined(__aarch64__) && !defined(_MSC_VER)

DenormalsAsZero::DenormalsAsZero() {
  constexpr std::uint64_t flush_to_zero = std::uint64_t{1} << 24;
  asm volatile("mrs %0, fpcr" : "=r"(before_));
  asm volatile("msr fpcr, %0" : : "r"(before_ | flush_to_zero));
}
DenormalsAsZero::~DenormalsAsZero() { asm volatile("msr fpcr, %0" : : "r"(before_)); }

#else

DenormalsAsZero::DenormalsAsZero() : before_(0) {}
DenormalsAsZero::~DenormalsAsZero() = default;

#endif

}  // namespace chainrule
