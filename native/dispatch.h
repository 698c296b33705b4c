// Which engine runs each precision, a build of the kernels for one instruction set, and on how many
// threads.

#pragma once

#include <string>
#include <vector>

#include "kernels.h"

namespace birnn {

// An instruction set that kernels are written for.
struct Level {
  std::string name;
  std::vector<std::string> precisions;  // that this build has kernels of its own for
  std::string missing;                  // what this processor or build lacks for it; empty: nothing
};

// All of this kind of processor, best first. Whether the system grants AMX's tiles is not asked.
std::vector<Level> levels();

// The engine in use for float32 and float64: the best one until another is chosen.
const Engine& engine();

// The kernels of inference of a named engine, whichever is in use; of the one in use where no name is
// given. What was packed for an engine is read by no other, and another thread may choose one at any
// time. Throws as `choose_engine` does.
const InferenceKernels& inference_kernels(Precision precision, const std::string& name);

// The name of the engine in use; empty where none was chosen.
std::string engine_name(Precision precision);

// Throws std::invalid_argument for one that is not here, or has no kernels of this precision.
void choose_engine(const std::string& name, Precision precision);

// Throws std::invalid_argument for a number that no precision has.
Precision precision_of(int number);

// Threads for a call that asks for `asked`; 0 asks for as many as are set.
int threads_wanted(int asked);

void set_threads(int threads);

}  // namespace birnn
