#include "runtime/state_lock.h"

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

StateLock::Place::Place(StateLock& lock, bool alone) : lock_(lock), alone_(alone) {
  const std::scoped_lock held(lock_.mutex_);
  if (!alone && reading != 0) {
    lock_.line_.push_front(this);
  } else {
    lock_.line_.push_back(this);
  }
  lock_.waiting_.store(lock_.line_.size(), std::memory_order_relaxed);
}

StateLock::Place::~Place() {
  const std::scoped_lock held(lock_.mutex_);
  leave();
}

// Called under the mutex.
void StateLock::Place::leave() {
  if (std::erase(lock_.line_, this) == 0) return;
  lock_.waiting_.store(lock_.line_.size(), std::memory_order_relaxed);
  lock_.changed_.notify_all();  // the next one may read, too
}

bool StateLock::Place::wait() {
  std::unique_lock held(lock_.mutex_);
  const auto is_my_turn = [&] { return lock_.line_.front() == this && lock_.is_free(alone_); };
  if (!lock_.changed_.wait_for(held, patience, is_my_turn) || !lock_.take(alone_)) return false;
  leave();  // at once: this thread may now wait for the GIL, and others would wait behind it
  return true;
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
