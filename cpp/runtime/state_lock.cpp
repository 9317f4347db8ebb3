#include "runtime/state_lock.h"

#include <algorithm>
#include <chrono>

#if !defined(_WIN32)
#include <pthread.h>
#endif

namespace chainrule {
namespace {

constexpr auto patience = std::chrono::milliseconds(50);

// How many locks this thread holds to read. It then never waits behind a thread that wants to
// write, which may be waiting for it.
thread_local int reading = 0;

// How many forks this process came from.
std::atomic<int> forks = 0;

void count_forks() {
#if !defined(_WIN32)
  [[maybe_unused]] static const int registered =
      pthread_atfork(nullptr, nullptr, [] { forks.fetch_add(1); });
#endif
}

}  // namespace

StateLock::StateLock() : forks_(forks.load()) { count_forks(); }

// A forked process has none of its parent's threads but one: what the others held is free in it.
void StateLock::forget_threads_of_parent() {
  if (forks_ == forks.load(std::memory_order_relaxed)) return;
  forks_ = forks.load(std::memory_order_relaxed);
  if (owner_ != std::this_thread::get_id()) depth_ = 0;
  readers_ = 0;
  line_.clear();
  waiting_.store(0, std::memory_order_relaxed);
}

// Takes a lock that is free for this thread; called under the mutex.
bool StateLock::take(bool alone) {
  if (depth_ != 0 && owner_ == std::this_thread::get_id()) {
    ++depth_;
    return true;
  }
  if (!is_free(alone)) return false;
  if (alone) {
    owner_ = std::this_thread::get_id();
    depth_ = 1;
  } else {
    ++readers_;
    ++reading;
  }
  return true;
}

bool StateLock::try_acquire(bool alone) {
  const std::scoped_lock lock(mutex_);
  forget_threads_of_parent();
  const bool is_owner = depth_ != 0 && owner_ == std::this_thread::get_id();
  const bool is_next = line_.empty() || (!alone && reading != 0);
  return (is_owner || is_next) && take(alone);
}

void StateLock::acquire(bool alone, const std::function<void()>& while_waiting) {
  if (try_acquire(alone)) return;
  const int place = 0;
  std::unique_lock lock(mutex_);
  if (!alone && reading != 0) {
    line_.push_front(&place);
  } else {
    line_.push_back(&place);
  }
  waiting_.store(line_.size(), std::memory_order_relaxed);
  const auto is_my_turn = [&] { return line_.front() == &place && is_free(alone); };
  while (!changed_.wait_for(lock, patience, is_my_turn)) {
    lock.unlock();
    try {
      while_waiting();
    } catch (...) {
      lock.lock();
      leave_line(&place);
      throw;
    }
    lock.lock();
  }
  take(alone);
  leave_line(&place);  // the next one may read, too
}

void StateLock::leave_line(const int* place) {
  line_.erase(std::ranges::find(line_, place));
  waiting_.store(line_.size(), std::memory_order_relaxed);
  changed_.notify_all();
}

void StateLock::release() {
  const std::scoped_lock lock(mutex_);
  if (depth_ != 0) {
    --depth_;  // of the owner: no thread reads while there is one
  } else {
    --readers_;
    --reading;
  }
  if (!line_.empty()) changed_.notify_all();
}

}  // namespace chainrule
