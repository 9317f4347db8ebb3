#include "runtime/state_copies.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>

#include "plan/names.h"
#include "tasks/finite.h"

namespace chainrule {
namespace {

constexpr std::int64_t piece_bytes = 256 * 1024;
// Read a second time, to be checked, while it is in L1.
constexpr std::int64_t block_bytes = 8 * 1024;

}  // namespace

StateCopies::StateCopies(std::byte* state, std::int64_t size, const std::vector<Span>& spans)
    : state_(state) {
  for (const Span& span : spans) {
    if (span.offset < 0 || span.bytes < 0 || span.bytes > size - span.offset ||
        span.bytes % itemsize(span.dtype) != 0) {
      throw std::invalid_argument("a span of " + std::to_string(span.bytes) + " bytes of " +
                                  std::string(name_of(span.dtype)) + " at " +
                                  std::to_string(span.offset) + ", but the state has " +
                                  std::to_string(size));
    }
    for (std::int64_t done = 0; done < span.bytes; done += piece_bytes) {
      const std::int64_t bytes = std::min(piece_bytes, span.bytes - done);
      pieces_.push_back({span.offset + done, bytes_, bytes, span.dtype});
      bytes_ += bytes;
    }
  }
  // Waking threads costs more than to copy little.
  chunks_ = static_cast<std::int32_t>(std::clamp<std::int64_t>(
      bytes_ / piece_bytes, 1,
      std::clamp<std::int64_t>(static_cast<std::int64_t>(pieces_.size()), 1, most_chunks)));
  kept_ = std::make_unique_for_overwrite<std::byte[]>(static_cast<std::size_t>(bytes_));
  spare_ = std::make_unique_for_overwrite<std::byte[]>(static_cast<std::size_t>(bytes_));
}

bool StateCopies::keep(std::int32_t threads, bool always) {
  const std::scoped_lock lock(mutex_);
  const bool is_finite = run(Pass::copy, threads);
  if (is_finite || always) std::swap(kept_, spare_);
  return is_finite;
}

bool StateCopies::is_finite(std::int32_t threads) {
  const std::scoped_lock lock(mutex_);
  return run(Pass::check, threads);
}

void StateCopies::refresh(std::int64_t offset, std::int64_t bytes) {
  const std::scoped_lock lock(mutex_);
  for (const Piece& piece : pieces_) {
    const std::int64_t begin = std::max(offset, piece.offset);
    const std::int64_t end = std::min(offset + bytes, piece.offset + piece.bytes);
    if (begin >= end) continue;
    std::memcpy(kept_.get() + piece.place + (begin - piece.offset), state_ + begin,
                static_cast<std::size_t>(end - begin));
  }
}

void StateCopies::restore(std::int32_t threads) {
  const std::scoped_lock lock(mutex_);
  run(Pass::restore, threads);
}

bool StateCopies::run(Pass pass, std::int32_t threads) {
  pass_ = pass;
  is_finite_.store(true, std::memory_order_relaxed);
  ThreadTeam team(std::min(threads, chunks_));
  team.run(*this, chunks_);
  return is_finite_.load(std::memory_order_relaxed);
}

void StateCopies::run_chunk(std::int32_t chunk, std::int32_t) noexcept {
  const auto count = static_cast<std::int64_t>(pieces_.size());
  const std::int64_t end = count * (chunk + 1) / chunks_;
  for (std::int64_t i = count * chunk / chunks_; i < end; ++i) {
    const Piece& piece = pieces_[static_cast<std::size_t>(i)];
    std::byte* const state = state_ + piece.offset;
    if (pass_ == Pass::restore) {
      std::memcpy(state, kept_.get() + piece.place, static_cast<std::size_t>(piece.bytes));
      continue;
    }
    for (std::int64_t done = 0; done < piece.bytes; done += block_bytes) {
      const std::int64_t bytes = std::min(block_bytes, piece.bytes - done);
      if (pass_ == Pass::copy) {
        std::memcpy(spare_.get() + piece.place + done, state + done,
                    static_cast<std::size_t>(bytes));
      }
      if (!chainrule::is_finite(state + done, bytes, piece.dtype)) {
        is_finite_.store(false, std::memory_order_relaxed);
      }
    }
  }
}

}  // namespace chainrule
