// The process's worker threads, and how one caller shares work with them.
//
// The caller takes part itself and never waits for a thread that has not taken anything: it goes on
// as soon as every chunk is done. So more threads than CPUs cost little, and a second caller, for
// whom no workers are left, simply does all chunks alone, with the same result.
#pragma once

#include <cstdint>

namespace chainrule {

// Threads that a run may use at most.
inline constexpr std::int64_t most_threads = 1024;
// Throws std::invalid_argument unless 1 <= threads <= most_threads.
void check_threads(std::int64_t threads);

class ThreadPool;

// What is shared: chunks 0 ... n - 1, each run once, by any thread.
class SharedWork {
 public:
  // `thread` is 0 for the caller and 1 ... threads - 1 for workers.
  virtual void run_chunk(std::int32_t chunk, std::int32_t thread) noexcept = 0;

 protected:
  ~SharedWork() = default;
};

// Holds the workers for as long as it lives: one per call into the core.
class ThreadTeam {
 public:
  // The caller and up to threads - 1 workers: fewer where they cannot be started or another caller
  // has them. Wakes them.
  explicit ThreadTeam(std::int32_t threads);
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  // Returns when all chunks are done; what they wrote is then visible. 1 <= chunks <= most_chunks.
  void run(SharedWork& work, std::int32_t chunks) noexcept;

 private:
  ThreadPool* pool_ = nullptr;  // null: the caller is alone
};

// Denormal numbers count as 0 on this thread while it lives: they are many times slower, and
// moments of optimisers decay into them.
class DenormalsAsZero {
 public:
  DenormalsAsZero();
  ~DenormalsAsZero();
  DenormalsAsZero(const DenormalsAsZero&) = delete;
  DenormalsAsZero& operator=(const DenormalsAsZero&) = delete;

 private:
  std::uint64_t before_;
};

}  // namespace chainrule
