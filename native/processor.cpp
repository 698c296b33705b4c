#include "processor.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>

#if defined(BIRNN_X86)
#include <cpuid.h>
#endif
#if defined(BIRNN_X86) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace birnn {

namespace {

#if defined(BIRNN_X86)

enum Register { eax, ebx, ecx, edx };

struct Feature {
  const char* name;
  unsigned leaf, subleaf;
  Register in;
  int bit;
  std::uint64_t state;  // bits of XCR0: the registers that the system must save
};

constexpr std::uint64_t ymm_state = 0x6, zmm_state = 0xe6, tile_state = 0x60000;

// Of "Intel 64 and IA-32 Architectures Software Developer's Manual", CPUID and chapter 13.
constexpr Feature known[] = {
    {"fma", 1, 0, ecx, 12, ymm_state},
    {"f16c", 1, 0, ecx, 29, ymm_state},
    {"bmi1", 7, 0, ebx, 3, 0},
    {"avx2", 7, 0, ebx, 5, ymm_state},
    {"bmi2", 7, 0, ebx, 8, 0},
    {"avx512f", 7, 0, ebx, 16, zmm_state},
    {"avx512dq", 7, 0, ebx, 17, zmm_state},
    {"avx512cd", 7, 0, ebx, 28, zmm_state},
    {"avx512bw", 7, 0, ebx, 30, zmm_state},
    {"avx512vl", 7, 0, ebx, 31, zmm_state},
    {"avx512_vnni", 7, 0, ecx, 11, zmm_state},
    {"amx_bf16", 7, 0, edx, 22, tile_state},
    {"amx_tile", 7, 0, edx, 24, tile_state},
    {"amx_int8", 7, 0, edx, 25, tile_state},
    {"avx_vnni", 7, 1, eax, 4, ymm_state},
    {"avx512_bf16", 7, 1, eax, 5, zmm_state},
    {"abm", 0x80000001, 0, ecx, 5, 0},
};

// False where the processor has no such leaf.
bool ask(unsigned leaf, unsigned subleaf, unsigned (&answer)[4]) {
  // A processor answers a subleaf that it does not have with that of another.
  unsigned most[4];
  if (leaf == 7 && subleaf > 0 && (!ask(7, 0, most) || most[eax] < subleaf)) return false;
  return __get_cpuid_count(leaf, subleaf, &answer[eax], &answer[ebx], &answer[ecx],
                           &answer[edx]) != 0;
}

// Which registers the system saves for each thread; 0 where it does not say.
std::uint64_t saved_state() {
  constexpr int osxsave = 27;
  unsigned one[4];
  if (!ask(1, 0, one) || (one[ecx] >> osxsave & 1) == 0) return 0;
  std::uint32_t low = 0, high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));  // by intrinsic it needs -mxsave
  return std::uint64_t{high} << 32 | low;
}

Processor find() {
  Processor found;
  unsigned answer[4];
  if (!ask(0, 0, answer)) return found;
  for (const unsigned part : {answer[ebx], answer[edx], answer[ecx]}) {
    char text[4];
    std::memcpy(text, &part, sizeof text);
    found.vendor.append(text, sizeof text);
  }
  const std::uint64_t saved = saved_state();
  for (const Feature& feature : known) {
    if (ask(feature.leaf, feature.subleaf, answer) && (answer[feature.in] >> feature.bit & 1) &&
        (saved & feature.state) == feature.state) {
      found.features.emplace_back(feature.name);
    }
  }
  return found;
}

#else

Processor find() { return {}; }

#endif

std::string ask_for_tiles() {
#if defined(BIRNN_X86) && defined(__linux__)
  constexpr long request_permission = 0x1023, tile_data = 18;  // of <asm/prctl.h>, Linux 5.16
  if (syscall(SYS_arch_prctl, request_permission, tile_data) == 0) return "";
  const std::string why = std::strerror(errno);
  return "arch_prctl: " + why +
         (errno == ENOSPC ? ". A thread's stack for signal handlers is too small for them" : "");
#else
  return "it has no call to ask for them";
#endif
}

}  // namespace

bool Processor::has(const std::string& feature) const {
  return std::find(features.begin(), features.end(), feature) != features.end();
}

const Processor& processor() {
  static const Processor found = find();
  return found;
}

const std::string& tiles_refused() {
  static const std::string why = ask_for_tiles();
  return why;
}

}  // namespace birnn
