// Which engine runs, a build of the kernels for one instruction set, and on how many threads.

#pragma once

#include <string>
#include <vector>

#include "kernels.h"

namespace birnn {

// Names of the engines that were compiled and that this processor has, best first.
std::vector<std::string> engines();

// The engine in use: the best one until another is chosen.
const Engine& engine();

// Throws std::invalid_argument for one that is not here.
void choose_engine(const std::string& name);

// Threads for a call that asks for `asked`; 0 asks for as many as are set.
int threads_wanted(int asked);

void set_threads(int threads);

}  // namespace birnn
