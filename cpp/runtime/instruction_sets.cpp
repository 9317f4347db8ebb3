#include "runtime/instruction_sets.h"

#include <stdexcept>
#include <string>

#include "plan/names.h"

#if defined(CHAINRULE_X86_64_KERNELS) && defined(_MSC_VER)
#include <intrin.h>
#endif

namespace chainrule {
namespace {

#if defined(CHAINRULE_X86_64_KERNELS)
#if defined(_MSC_VER)

constexpr bool has_all(unsigned long long value, unsigned long long bits) {
  return (value & bits) == bits;
}

// The processor may know instructions whose registers the operating system does not save when it
// switches threads: XCR0, read by xgetbv, says which ones it saves.
bool os_saves(unsigned long long registers) {
  int info[4];
  __cpuidex(info, 1, 0);
  constexpr unsigned osxsave = 1u << 27;
  return has_all(static_cast<unsigned>(info[2]), osxsave) && has_all(_xgetbv(0), registers);
}

bool has_extended_features(unsigned ebx_bits) {
  int info[4];
  __cpuidex(info, 0, 0);
  if (info[0] < 7) return false;
  __cpuidex(info, 7, 0);
  return has_all(static_cast<unsigned>(info[1]), ebx_bits);
}

bool supports_avx2() {
  int info[4];
  __cpuidex(info, 1, 0);
  constexpr unsigned fma = 1u << 12;
  constexpr unsigned avx2 = 1u << 5;
  constexpr unsigned xmm_ymm = 0x6;
  return has_all(static_cast<unsigned>(info[2]), fma) && has_extended_features(avx2) &&
         os_saves(xmm_ymm);
}

bool supports_avx512() {
  constexpr unsigned f_dq_bw_vl = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;
  constexpr unsigned xmm_ymm_zmm_and_masks = 0xe6;
  return supports_avx2() && has_extended_features(f_dq_bw_vl) && os_saves(xmm_ymm_zmm_and_masks);
}

#else

// These builtins read cpuid, and xgetbv for what the operating system supports.
bool supports_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

bool supports_avx512() {
  return supports_avx2() && __builtin_cpu_supports("avx512f") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
}

#endif
#endif

#if defined(__aarch64__) || defined(_M_ARM64)
constexpr std::string_view baseline_name = "neon";
#elif defined(__x86_64__) || defined(_M_X64)
constexpr std::string_view baseline_name = "sse2";
#else
constexpr std::string_view baseline_name = "scalar";
#endif

std::vector<InstructionSet> detect() {
  std::vector<InstructionSet> sets = {{baseline_name, &baseline::kernel_table}};
#if defined(CHAINRULE_X86_64_KERNELS)
  if (supports_avx2()) sets.push_back({"avx2", &avx2::kernel_table});
  if (supports_avx512()) sets.push_back({"avx512", &avx512::kernel_table});
#endif
  return sets;
}

}  // namespace

const std::vector<InstructionSet>& instruction_sets() {
  static const std::vector<InstructionSet> sets = detect();
  return sets;
}

const InstructionSet& instruction_set(std::string_view name) {
  if (name.empty()) return instruction_sets().back();
  std::vector<std::string_view> names;
  for (const InstructionSet& set : instruction_sets()) {
    if (set.name == name) return set;
    names.push_back(set.name);
  }
  throw std::invalid_argument("instruction_set '" + std::string(name) +
                              "' is not available here; choose one of: " + listed(names));
}

}  // namespace chainrule
