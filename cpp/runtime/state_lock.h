// A lock of numbers that several threads use: many that read them, or one that changes them.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace chainrule {

// All threads wait in one line, so neither those that read nor those that write wait for ever. The
// thread that holds it alone may acquire it again, in either way.
class StateLock {
 public:
  StateLock();
  // Whether it was free; `alone` to write.
  bool try_acquire(bool alone);
  // Waits; `while_waiting` is called now and then, without the mutex, and may throw.
  void acquire(bool alone, const std::function<void()>& while_waiting);
  void release();
  // Whether a thread stands in the line.
  bool is_waited_for() const { return waiting_.load(std::memory_order_relaxed) != 0; }

 private:
  bool take(bool alone);
  void forget_threads_of_parent();
  bool is_free(bool alone) const { return depth_ == 0 && (!alone || readers_ == 0); }
  void leave_line(const int* place);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<const int*> line_;  // a place for each thread that waits
  std::atomic<std::size_t> waiting_ = 0;
  std::thread::id owner_;
  int depth_ = 0;  // how often the owner has acquired it
  int readers_ = 0;
  int forks_ = 0;
};

}  // namespace chainrule
