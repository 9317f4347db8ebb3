// A task: an instruction of a plan made ready to run, with its places in memory as pointers.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/rounding.h"
#include "plan/plan.h"

namespace chainrule {

// What the thread that runs a chunk brings with it.
struct Worker {
  std::byte* scratch;         // scratch_bytes() of the task, aligned to cache_line
  const std::int64_t* order;  // the input rows of this step's batch
};

class RowLog;

class Task {
 public:
  virtual ~Task() = default;
  // One of `chunks()` parts. False if an index lies out of range.
  virtual bool run(std::int32_t chunk, const Worker& worker) const noexcept = 0;

  // Of an instruction in a chain (plan/row_chains.h): how many rows it has, and some of them.
  virtual std::int64_t rows() const { return 0; }
  virtual void run_rows(std::int64_t, std::int64_t, const Worker&) const noexcept {}

  // Of a task that overwrites rows of a state: how to take them back.
  virtual RowLog* log() const { return nullptr; }

  std::int32_t chunks() const { return chunks_; }
  // How many chains of operations (kernels/chains.h) it does by a kernel of their own.
  virtual std::int64_t fused_chains() const { return 0; }
  std::int64_t scratch_bytes() const { return scratch_bytes_; }

 protected:
  // Chooses how many of `parts` make sense; `requested` is 0 where the choice is free. It must
  // depend on nothing but the instruction: another split may change the last bits of results.
  void split(std::int32_t requested, std::int64_t parts, double nanoseconds);
  void need_scratch(std::int64_t bytes) { scratch_bytes_ = bytes; }

  // Chunk's share of 0 ... count - 1, in units of `unit`.
  struct Range {
    std::int64_t begin, end;
    std::int64_t length() const { return end - begin; }
  };
  Range share(std::int32_t chunk, std::int64_t count, std::int64_t unit = 1) const {
    if (chunks_ == 1) return {0, count};
    const std::int64_t units = ceil_div(count, unit);
    return {std::min(count, units * chunk / chunks_ * unit),
            std::min(count, units * (chunk + 1) / chunks_ * unit)};
  }

 private:
  std::int32_t chunks_ = 1;
  std::int64_t scratch_bytes_ = 0;
};

}  // namespace chainrule
