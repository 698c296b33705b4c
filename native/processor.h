// What the processor has, and what its system lets this process use of it.

#pragma once

#include <string>
#include <vector>

namespace birnn {

struct Processor {
  std::string vendor;                 // as CPUID tells it, "AuthenticAMD"; empty where none does
  std::vector<std::string> features;  // spelled as in Linux's /proc/cpuinfo, "avx512_vnni"

  bool has(const std::string& feature) const;
};

// The one that this process runs on. Instructions whose registers the system does not save are not
// among its features.
const Processor& processor();

// Why the system keeps the tiles of AMX from this process; empty where it grants them. The first
// call asks for them, for the whole process: a system may refuse, and checks from then on that
// stacks of signal handlers have room for 8 KiB of tiles.
const std::string& tiles_refused();

}  // namespace birnn
