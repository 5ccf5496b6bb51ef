#include "machine/spec/spec.h"

namespace vireo::machine {

Result<> check(const Spec& spec) {
  if (spec.cpus < 1 || spec.cpus > kMaxCpus) {
    return fail(ErrorKind::Usage, "{} CPUs are not possible; choose 1 to {}", spec.cpus, kMaxCpus);
  }
  if (spec.memory < kMinMemory || spec.memory > kMaxMemory) {
    return fail(ErrorKind::Usage, "{} bytes of memory are not possible; choose {} MiB to {} GiB", spec.memory,
                kMinMemory / kMiB, kMaxMemory / kGiB);
  }
  if (spec.memory % kMiB != 0) {
    return fail(ErrorKind::Usage, "{} bytes of memory are not possible; choose a whole number of MiB", spec.memory);
  }
  return {};
}

}  // namespace vireo::machine
