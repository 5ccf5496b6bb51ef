// What a virtual machine is made of, as plain data: filled from the command line, a configuration file or a saved
// state.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/types.h"

namespace vireo::machine {

constexpr unsigned kMaxCpus = 255;  ///< APIC ids 0..254: what an IOAPIC and MSIs can address
constexpr unsigned kMaxNics = 8;
constexpr u64 kMinMemory = 2 * kMiB, kMaxMemory = 512 * kGiB;
constexpr u64 kMinFirmware = 64 * kKiB, kMaxFirmware = 16 * kMiB, kFirmwareMultiple = 4 * kKiB;
constexpr u64 kMinFirmwareMemory = 16 * kMiB;

/// What firmware is told about booting.
struct FirmwareBoot {
  bool menu = false;            ///< it offers its menu for a while
  std::vector<unsigned> disks;  ///< numbers of disks in the order they are tried; others come after them
};

struct Spec {
  std::string name = "vireo";
  u64 memory = 512 * kMiB;  ///< bytes, a multiple of 1 MiB
  unsigned cpus = 1;
  std::string kernel;  ///< path
  std::string initrd;  ///< path, empty: none
  std::string command_line;
  std::string firmware;   ///< path; instead of a kernel, empty: none
  u64 firmware_size = 0;  ///< bytes, 0: none
  FirmwareBoot firmware_boot = {};
};

/// Usage error for a count or size the machine cannot have; does not look at files.
Result<> check(const Spec& spec);

}  // namespace vireo::machine
