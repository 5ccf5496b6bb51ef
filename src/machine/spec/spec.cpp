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
  if (spec.firmware_size != 0 && (spec.firmware_size < kMinFirmware || spec.firmware_size > kMaxFirmware ||
                                  spec.firmware_size % kFirmwareMultiple != 0)) {
    return fail(ErrorKind::Usage,
                "'{}' has {} bytes and is no firmware; one has {} KiB to {} MiB, and a multiple of {} KiB",
                spec.firmware, spec.firmware_size, kMinFirmware / kKiB, kMaxFirmware / kMiB, kFirmwareMultiple / kKiB);
  }
  if (spec.firmware_size != 0 && spec.memory < kMinFirmwareMemory) {
    return fail(ErrorKind::Usage, "{} MiB of memory are too little for firmware; choose {} MiB or more",
                spec.memory / kMiB, kMinFirmwareMemory / kMiB);
  }
  return {};
}

}  // namespace vireo::machine
