// Copies of what a step changes: training goes back to the last one that was good.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "plan/plan.h"
#include "runtime/threads.h"

namespace chainrule {

class StateCopies final : private SharedWork {
 public:
  // A part of the state, in bytes. Only what has a floating dtype can fail to be finite.
  struct Span {
    std::int64_t offset, bytes;
    DType dtype;
  };

  // `state` has `size` bytes and outlives this. Throws std::invalid_argument for spans beyond it.
  StateCopies(std::byte* state, std::int64_t size, const std::vector<Span>& spans);

  // Copies the state and keeps the copy in the place of the one before: if all its numbers are
  // finite, or `always`. Returns whether they are. One pass over the memory.
  bool keep(std::int32_t threads, bool always);
  // Whether all numbers of the state are finite, without a copy: a third of the memory traffic.
  bool is_finite(std::int32_t threads);
  // Takes what lies in some bytes of the state over into the copy that was kept last.
  void refresh(std::int64_t offset, std::int64_t bytes);
  // Brings the state back to the copy that was kept last.
  void restore(std::int32_t threads);

 private:
  enum class Pass : std::uint8_t { check, copy, restore };

  // What a thread copies at once, within a span.
  struct Piece {
    std::int64_t offset, place, bytes;
    DType dtype;
  };

  // Returns whether all numbers that it has looked at are finite.
  bool run(Pass pass, std::int32_t threads);
  void run_chunk(std::int32_t chunk, std::int32_t thread) noexcept override;

  std::byte* state_;
  std::vector<Piece> pieces_;
  std::int64_t bytes_ = 0;
  std::int32_t chunks_ = 1;
  std::unique_ptr<std::byte[]> kept_, spare_;
  std::mutex mutex_;

  // Of the pass under way.
  Pass pass_ = Pass::check;
  std::atomic<bool> is_finite_ = true;
};

}  // namespace chainrule
