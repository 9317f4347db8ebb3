// A lock of numbers that several threads use: many that read them, or one that changes them.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <deque>
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
  void release();
  // A place in the line of those that wait, until it has the lock or lives no longer.
  class Place {
   public:
    Place(StateLock& lock, bool alone);
    ~Place();
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    // Waits for a while; whether the lock has been acquired.
    bool wait();

   private:
    void leave();

    StateLock& lock_;
    const bool alone_;
  };
  // Whether a thread stands in the line.
  bool is_waited_for() const { return waiting_.load(std::memory_order_relaxed) != 0; }

 private:
  bool take(bool alone);
  void forget_threads_of_parent();
  bool is_free(bool alone) const { return depth_ == 0 && (!alone || readers_ == 0); }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<const Place*> line_;
  std::atomic<std::size_t> waiting_ = 0;
  std::thread::id owner_;
  int depth_ = 0;  // how often the owner has acquired it
  int readers_ = 0;
  int forks_ = 0;
};

}  // namespace chainrule
