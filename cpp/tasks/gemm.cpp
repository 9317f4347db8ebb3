// Matrix products, tile by tile, each tile with its part of the epilogue.

#include <algorithm>
#include <atomic>
#include <optional>
#include <stdexcept>
#include <thread>
#include <type_traits>
#include <vector>

#include "kernels/rounding.h"
#include "plan/row_chains.h"
#include "tasks/building.h"
#include "tasks/multiplier.h"
#include "tasks/program/program.h"

namespace chainrule {
namespace {

// About how long a thread takes: products of a few rows wait for memory.
double nanoseconds_of(std::int64_t m, std::int64_t n, std::int64_t k, std::int64_t itemsize) {
  const double flops_per_nanosecond = 800. / static_cast<double>(itemsize);
  constexpr double bytes_per_nanosecond = 40;
  const auto rows = static_cast<double>(m), columns = static_cast<double>(n);
  const auto depth = static_cast<double>(k);
  const double bytes = (rows + columns) * depth * static_cast<double>(itemsize);
  return std::max(2 * rows * columns * depth / flops_per_nanosecond, bytes / bytes_per_nanosecond);
}

// Sums of more products than this lose too many digits in float32.
constexpr std::int64_t most_depth = 1 << 16;

// Tiles of rows x columns, the last ones smaller.
struct Grid {
  std::int64_t rows, columns;  // of a tile
  std::int64_t row_tiles, column_tiles;
  std::int64_t tiles() const { return row_tiles * column_tiles; }
};

// The gradient of weights, delta^T h, adds up over the rows of a batch, of which a thread has made
// about half in the instructions before:
//
//            delta^T             h
//        +------+------+     +--------+
//        | 0    |    1 |  x  | 0      |  =  what half 0 gives + what half 1 gives
//        +------+------+     | ------ |
//                            |      1 |
//                            +--------+
//
// So each half is multiplied apart, by the thread in whose cache it is. Who is second at a tile of
// C adds to what is there: a sum of two numbers, the same in either order. Products of this depth
// the kernels add up in two parts in any case (gemm_block_depth).
bool has_halves(const Gemm& gemm) {
  constexpr std::int64_t reads_for_a_write = 4;  // of C; else what is read is the lesser part
  const bool is_deep = gemm.k > gemm_block_depth && gemm.k <= 2 * gemm_block_depth;
  return gemm.transpose_a && !gemm.transpose_b && gemm.batch == 1 && gemm.chain == 0 && is_deep &&
         gemm.m > 1 && gemm.n > 1 &&
         number(gemm.k) * number(gemm.m + gemm.n) >=
             reads_for_a_write * number(gemm.m) * number(gemm.n);
}
// The depth of half 0; half 1 has the rest.
std::int64_t depth_of_half(std::int64_t k) {
  constexpr std::int64_t unit = 64;
  return round_up((k + 1) / 2, unit);
}

// One side of the matrix, cut into equal parts of whole units as far as that goes.
class Side {
 public:
  Side(std::int64_t size, std::int64_t unit)
      : size_(size), unit_(unit), tile_(std::max<std::int64_t>(size, 1)) {}

  std::int64_t tile() const { return tile_; }
  std::int64_t tiles() const { return ceil_div(size_, tile_); }
  bool can_be_halved() const { return tile_ >= 2 * unit_; }
  void halve() {
    parts_ *= 2;
    const std::int64_t part = ceil_div(size_, parts_);
    tile_ = round_up(part, unit_);
  }

 private:
  std::int64_t size_, unit_, tile_;
  std::int64_t parts_ = 1;
};

// Halves the tile as long as it is too large for L2, or there are too few tiles to share and they
// are worth it.
Grid choose_grid(const Gemm& gemm) {
  const std::int64_t halves = has_halves(gemm) ? 2 : 1;
  const std::int64_t m = gemm.m, n = gemm.n, k = gemm.k / halves;
  const std::int64_t itemsize = gemm.dtype == DType::float32 ? 4 : 8;
  constexpr double least_nanoseconds = 6e3;  // below, sharing and packing cost too much
  constexpr double least_of_two = 4e3;       // of two tiles, so that two threads have work
  constexpr std::int64_t enough_tiles = 8;
  constexpr std::int64_t l2_bytes = 256 * 1024;
  constexpr std::int64_t row_unit = 16;
  // Four registers of AVX-512: in narrower tiles, finding A's zeros would take too much of the
  // time.
  const std::int64_t column_unit = 256 / itemsize;
  // To pack the rows of A^T takes longer than to copy the columns of B.
  const std::int64_t weight = gemm.transpose_a && !gemm.transpose_b && m > n ? 2 : 1;
  Side rows(m, row_unit);
  Side columns(n, column_unit);
  if (gemm.chain != 0) {
    const std::int64_t block = most_rows_of_a_block(m);
    while (block * columns.tile() * itemsize > l2_bytes && columns.can_be_halved()) {
      columns.halve();
    }
    return {block, columns.tile(), row_blocks(m), columns.tiles()};
  }
  for (;;) {
    const double nanoseconds = nanoseconds_of(rows.tile(), columns.tile(), k, itemsize);
    const bool too_large = rows.tile() * columns.tile() * itemsize > l2_bytes;
    const std::int64_t tiles = rows.tiles() * columns.tiles();
    const bool too_few = halves * tiles < enough_tiles;
    const bool is_one = tiles == 1;
    const double least = is_one ? least_of_two : least_nanoseconds;
    if (nanoseconds < 2 * least || !(too_large || too_few)) break;
    const bool is_wide = columns.tile() >= weight * rows.tile();
    Side& longer = is_wide ? columns : rows;
    Side& shorter = is_wide ? rows : columns;
    if (longer.can_be_halved()) {
      longer.halve();
    } else if (is_one && shorter.can_be_halved()) {
      shorter.halve();
    } else {
      break;
    }
  }
  return {rows.tile(), columns.tile(), rows.tiles(), columns.tiles()};
}

template <typename T>
class MatrixProduct final : public Task {
 public:
  MatrixProduct(const Gemm& gemm, const Building& building)
      : multiplier_(kernels_of<T>(building.kernels)),
        a_{building.memory.at<const T>(gemm.a), gemm.lda, gemm.transpose_a},
        b_{building.memory.at<const T>(gemm.b), gemm.ldb, gemm.transpose_b},
        c_{building.memory.at<T>(gemm.c), gemm.ldc, false},
        m_(gemm.m),
        n_(gemm.n),
        k_(gemm.k),
        stride_a_(gemm.stride_a),
        stride_b_(gemm.stride_b),
        stride_c_(gemm.stride_c),
        grid_(choose_grid(gemm)) {
    if (!multiplier_.is_available()) {
      throw std::invalid_argument(building.label +
                                  ": no matrix product: set_blas has not been called");
    }
    const bool is_in_halves =
        has_halves(gemm) && multiplier_.uses_own_kernels(grid_.rows, grid_.columns, k_);
    // What is multiplied at once, and the rest of k.
    const std::int64_t depth = is_in_halves ? depth_of_half(k_) : std::min(k_, depth_of_parts());
    // Tiles at the edge are smaller, and may need another kernel.
    std::int64_t workspace = 0;
    const std::int64_t other_rows =
        gemm.chain != 0 ? grid_.rows - 1 : m_ - (grid_.row_tiles - 1) * grid_.rows;
    for (const std::int64_t rows : {grid_.rows, other_rows}) {
      for (const std::int64_t columns :
           {grid_.columns, n_ - (grid_.column_tiles - 1) * grid_.columns}) {
        if (rows < 1 || columns < 1 || k_ < 1) continue;
        workspace = std::max(
            workspace, multiplier_.workspace(a_.transposed, b_.transposed, rows, columns, depth));
        if (k_ % depth != 0) {
          workspace = std::max(workspace, multiplier_.workspace(a_.transposed, b_.transposed, rows,
                                                                columns, k_ % depth));
        }
      }
    }
    std::int64_t scratch = round_up(workspace * static_cast<std::int64_t>(sizeof(T)), cache_line);
    if (is_long()) {
      sums_offset_ = scratch;
      scratch += grid_.rows * grid_.columns * static_cast<std::int64_t>(sizeof(double));
    }
    if (gemm.epilogue) {
      epilogue_.emplace(*gemm.epilogue, building, false);
      scratch = std::max(scratch, epilogue_->scratch_bytes());
    }
    need_scratch(scratch);
    count_ = gemm.batch * grid_.tiles();
    if (is_in_halves) {
      progress_ = std::vector<std::atomic<Progress>>(static_cast<std::size_t>(count_));
      count_ *= 2;
    }
    if (m_ == 0 || n_ == 0) count_ = 0;
    double nanoseconds = static_cast<double>(gemm.batch) * nanoseconds_of(m_, n_, k_, sizeof(T));
    if (epilogue_) nanoseconds += epilogue_->nanoseconds();
    split(building.chunks, count_, nanoseconds);
  }

  bool run(std::int32_t chunk, const Worker& worker) const noexcept override {
    const Range range = share(chunk, count_);
    for (std::int64_t i = range.begin; i < range.end; ++i) {
      if (!progress_.empty()) {
        run_half_of_tile(i, worker.scratch);
        continue;
      }
      std::int64_t number = i;
      const std::int64_t column = number % grid_.column_tiles * grid_.columns;
      number /= grid_.column_tiles;
      const std::int64_t row = number % grid_.row_tiles * grid_.rows;
      run_tile(number / grid_.row_tiles, row, std::min(grid_.rows, m_ - row), column,
               worker.scratch);
    }
    return true;
  }

  std::int64_t fused_chains() const override { return epilogue_ ? epilogue_->fused_chains() : 0; }

  std::int64_t rows() const override { return m_; }
  void run_rows(std::int64_t begin, std::int64_t end,
                const Worker& worker) const noexcept override {
    for (std::int64_t column = 0; column < n_; column += grid_.columns) {
      run_tile(0, begin, end - begin, column, worker.scratch);
    }
  }

 private:
  void run_tile(std::int64_t matrix, std::int64_t row, std::int64_t rows, std::int64_t column,
                std::byte* scratch) const noexcept {
    const std::int64_t columns = std::min(grid_.columns, n_ - column);
    const Matrix<T> c = {c_.data + matrix * stride_c_ + row * c_.stride + column, c_.stride, false};
    if (k_ == 0) {
      for (std::int64_t i = 0; i < rows; ++i) std::fill_n(c.data + i * c.stride, columns, T(0));
    } else {
      const Matrix<const T> a = {
          a_.data + matrix * stride_a_ + (a_.transposed ? row : row * a_.stride), a_.stride,
          a_.transposed};
      const Matrix<const T> b = {
          b_.data + matrix * stride_b_ + (b_.transposed ? column * b_.stride : column), b_.stride,
          b_.transposed};
      if (is_long()) {
        multiply_long(c, a, b, rows, columns, scratch);
      } else {
        multiplier_.multiply(c, a, b, rows, columns, k_, reinterpret_cast<T*>(scratch));
      }
    }
    if (epilogue_) epilogue_->run({row, row + rows, column, column + columns}, scratch);
  }

  // Of a tile: which of its halves are done. The first may be either.
  enum class Progress : std::uint8_t { none, first_begun, first_done };

  // The numbers are half 0 of each tile, then half 1 of each. Threads take numbers from both ends:
  // in this order of the tiles, half of all tiles lie between a tile's first half and its second.
  void run_half_of_tile(std::int64_t i, std::byte* scratch) const noexcept {
    const std::int64_t tiles = grid_.tiles();
    const bool is_half_0 = i < tiles;
    const std::int64_t turn = is_half_0 ? i : 2 * tiles - 1 - i;
    const std::int64_t place = turn < tiles / 2 ? turn : tiles - 1 - (turn - tiles / 2);
    const std::int64_t tile = is_half_0 ? place : tiles - 1 - place;
    const std::int64_t row = tile / grid_.column_tiles * grid_.rows;
    const std::int64_t column = tile % grid_.column_tiles * grid_.columns;
    const std::int64_t rows = std::min(grid_.rows, m_ - row);
    const std::int64_t columns = std::min(grid_.columns, n_ - column);
    const std::int64_t depth_0 = depth_of_half(k_);
    const std::int64_t begin = is_half_0 ? 0 : depth_0;

    std::atomic<Progress>& progress = progress_[static_cast<std::size_t>(tile)];
    Progress before = Progress::none;
    const bool is_first = progress.compare_exchange_strong(before, Progress::first_begun);
    while (!is_first && progress.load(std::memory_order_acquire) != Progress::first_done) {
      std::this_thread::yield();
    }
    multiplier_.multiply({c_.data + row * c_.stride + column, c_.stride, false},
                         {a_.data + begin * a_.stride + row, a_.stride, true},
                         {b_.data + begin * b_.stride + column, b_.stride, false}, rows, columns,
                         is_half_0 ? depth_0 : k_ - depth_0, reinterpret_cast<T*>(scratch),
                         !is_first);
    if (!is_first && epilogue_) {
      epilogue_->run({row, row + rows, column, column + columns}, scratch);
    }
    progress.store(is_first ? Progress::first_done : Progress::none, std::memory_order_release);
  }

  // The products of parts of k are added up in float64.
  static constexpr std::int64_t part = 1 << 10;
  bool is_long() const { return std::is_same_v<T, float> && k_ > most_depth; }
  std::int64_t depth_of_parts() const { return is_long() ? part : std::max<std::int64_t>(k_, 1); }

  // As `multiply`, part by part of k; c holds one part's product at a time.
  void multiply_long(Matrix<T> c, Matrix<const T> a, Matrix<const T> b, std::int64_t rows,
                     std::int64_t columns, std::byte* scratch) const noexcept {
    double* const sums = reinterpret_cast<double*>(scratch + sums_offset_);
    std::fill_n(sums, rows * columns, 0.0);
    for (std::int64_t begin = 0; begin < k_; begin += part) {
      const std::int64_t depth = std::min(part, k_ - begin);
      Matrix<const T> a_part = a, b_part = b;
      a_part.data += begin * (a.transposed ? a.stride : 1);
      b_part.data += begin * (b.transposed ? 1 : b.stride);
      multiplier_.multiply(c, a_part, b_part, rows, columns, depth, reinterpret_cast<T*>(scratch));
      for (std::int64_t i = 0; i < rows; ++i) {
        for (std::int64_t j = 0; j < columns; ++j) {
          sums[i * columns + j] += static_cast<double>(c.data[i * c.stride + j]);
        }
      }
    }
    for (std::int64_t i = 0; i < rows; ++i) {
      std::transform(sums + i * columns, sums + (i + 1) * columns, c.data + i * c.stride,
                     [](double x) { return static_cast<T>(x); });
    }
  }

  MatrixMultiplier<T> multiplier_;
  Matrix<const T> a_, b_;
  Matrix<T> c_;
  std::int64_t m_, n_, k_;
  std::int64_t stride_a_, stride_b_, stride_c_;
  std::int64_t count_ = 0;        // of tiles, or of their halves
  std::int64_t sums_offset_ = 0;  // in the scratch, in bytes
  Grid grid_;
  std::optional<ElementwiseProgram<T>> epilogue_;
  mutable std::vector<std::atomic<Progress>> progress_;  // of each tile; empty: without halves
};

// The epilogue of the product in register `product` and of register `x`, if the kernel of small
// products has it.
std::optional<RegisterEpilogue> register_epilogue(const Program& program, int product, int x) {
  const std::size_t count = program.ops.size();
  if (count < 1 || count > 2 || program.ops.back().out != program.stores[0].reg) {
    return std::nullopt;
  }
  const auto takes = [](const MicroOp& op, int a, int b) {
    return (op.inputs[0] == a && op.inputs[1] == b) || (op.inputs[0] == b && op.inputs[1] == a);
  };
  const MicroOp& first = program.ops.front();
  const MicroOp& last = program.ops.back();
  if (first.opcode == Opcode::add && takes(first, product, x)) {
    if (count == 1) return RegisterEpilogue::add;
    if (last.opcode == Opcode::relu && last.inputs[0] == first.out)
      return RegisterEpilogue::add_relu;
  }
  if (count == 2 && first.opcode == Opcode::heaviside && first.inputs[0] == x &&
      first.out != product && last.opcode == Opcode::multiply && takes(last, product, first.out)) {
    return RegisterEpilogue::heaviside_multiply;
  }
  return std::nullopt;
}

// A product so small, or with sums of so few terms, that setting up the general way would take as
// long as the sums.
template <typename T>
class SmallProduct final : public Task {
 public:
  // `gemm` has the rows that are computed at once.
  SmallProduct(const SmallGemm<T>& gemm, std::int64_t rows, SmallGemmKernel<T> kernel,
               const Building& building)
      : gemm_(gemm), rows_(rows), kernel_(kernel) {
    need_scratch(kernels_of<T>(building.kernels)
                     .gemm_workspace(gemm.transpose_a, gemm.transpose_b, gemm.m, gemm.n, gemm.k) *
                 static_cast<std::int64_t>(sizeof(T)));
    // To write results may take longer than to compute them.
    constexpr double bytes_per_nanosecond = 60;
    const bool reads_x = gemm.epilogue != RegisterEpilogue::none && gemm.ldx != 0;
    const double elements = number(rows) * number(gemm.n) * (reads_x ? 2 : 1);
    split(building.chunks, ceil_div(rows, rows_of_a_part),
          nanoseconds_of(rows, gemm.n, gemm.k, sizeof(T)) +
              elements * static_cast<double>(sizeof(T)) / bytes_per_nanosecond);
  }

  // Null where the product is not small, or its epilogue another.
  static std::unique_ptr<Task> make(const Gemm& gemm, const Building& building) {
    const Memory& memory = building.memory;
    const Kernels<T>& kernels = kernels_of<T>(building.kernels);
    const Grid grid = choose_grid(gemm);
    const bool has_few_terms = gemm.chain == 0 && gemm.k <= few_terms && grid.column_tiles == 1;
    const bool is_one_tile = grid.column_tiles * (gemm.chain != 0 ? 1 : grid.row_tiles) == 1;
    if (gemm.batch != 1 || gemm.m == 0 || gemm.n == 0 || gemm.k == 0 || gemm.k > most_depth ||
        !(is_one_tile || has_few_terms) || kernels.small_gemm == nullptr ||
        !MatrixMultiplier<T>(kernels).uses_own_kernels(grid.rows, gemm.n, gemm.k)) {
      return nullptr;
    }
    T* const c = memory.at<T>(gemm.c);
    SmallGemm<T> small = {.c = c,
                          .ldc = gemm.ldc,
                          .a = memory.at<const T>(gemm.a),
                          .lda = gemm.lda,
                          .transpose_a = gemm.transpose_a,
                          .b = memory.at<const T>(gemm.b),
                          .ldb = gemm.ldb,
                          .transpose_b = gemm.transpose_b,
                          .m = has_few_terms ? std::min(gemm.m, most_small_rows) : grid.rows,
                          .n = gemm.n,
                          .k = gemm.k,
                          .epilogue = RegisterEpilogue::none,
                          .x = c,
                          .ldx = 0,
                          .out = c,
                          .ldout = gemm.ldc};
    if (gemm.epilogue && !add_epilogue(small, *gemm.epilogue, memory)) return nullptr;
    const SmallGemmKernel<T> kernel = kernels.small_gemm(small);
    return kernel ? std::make_unique<SmallProduct>(small, gemm.m, kernel, building) : nullptr;
  }

  bool run(std::int32_t chunk, const Worker& worker) const noexcept override {
    const Range range = share(chunk, rows_);
    for (std::int64_t row = range.begin; row < range.end; row += gemm_.m) {
      run_rows(row, std::min(row + gemm_.m, range.end), worker);
    }
    return true;
  }

  std::int64_t rows() const override { return rows_; }
  void run_rows(std::int64_t begin, std::int64_t end,
                const Worker& worker) const noexcept override {
    SmallGemm<T> part = gemm_;
    part.m = end - begin;
    part.a += begin * (part.transpose_a ? 1 : part.lda);
    part.c += begin * part.ldc;
    part.x += begin * part.ldx;
    part.out += begin * part.ldout;
    kernel_(part, reinterpret_cast<T*>(worker.scratch));
  }

 private:
  // In sums of so few terms zeros are not worth looking for.
  static constexpr std::int64_t few_terms = 32;
  // Fewer do not keep the registers of the kernels' tiles busy.
  static constexpr std::int64_t rows_of_a_part = 16;

  // Adds the epilogue to `small`, if it is one that the kernel has.
  static bool add_epilogue(SmallGemm<T>& small, const Program& program, const Memory& memory) {
    if (program.loads.size() != 2 || program.stores.size() != 1) return false;
    for (const Load& load : program.loads) {
      if (load.dtype != dtype_of<T> || load.column_stride != 1 || load.random) return false;
    }
    const auto is_product = [&](const Load& load) {
      return memory.at<T>(load.ref) == small.c && load.row_stride == small.ldc;
    };
    const bool is_first = is_product(program.loads[0]);
    if (is_first == is_product(program.loads[1])) return false;
    const Load& product = program.loads[is_first ? 0 : 1];
    const Load& x = program.loads[is_first ? 1 : 0];
    const Store& store = program.stores[0];
    const std::optional<RegisterEpilogue> epilogue = register_epilogue(program, product.reg, x.reg);
    if (!epilogue || store.dtype != dtype_of<T>) return false;
    small.epilogue = *epilogue;
    small.x = memory.at<const T>(x.ref);
    small.ldx = x.row_stride;
    small.out = memory.at<T>(store.ref);
    small.ldout = store.row_stride;
    return true;
  }

  SmallGemm<T> gemm_;
  std::int64_t rows_;
  SmallGemmKernel<T> kernel_;
};

template <typename T>
std::unique_ptr<Task> make_product(const Gemm& gemm, const Building& building) {
  if (auto small = SmallProduct<T>::make(gemm, building)) return small;
  return std::make_unique<MatrixProduct<T>>(gemm, building);
}

}  // namespace

std::unique_ptr<Task> make_task(const Gemm& gemm, const Building& building) {
  return gemm.dtype == DType::float32 ? make_product<float>(gemm, building)
                                      : make_product<double>(gemm, building);
}

}  // namespace chainrule
