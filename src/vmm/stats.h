// `--stats`: what the vCPUs of a machine counted, as JSON.
//
//   {"version": 1, "machine": NAME, "engine": NAME, "guest_seconds": 12.5,
//    "vcpus": [{"id": 0, "counters": {NAME: COUNT, ...}, "tables": {NAME: [{"what": NAME or ADDRESS, "count": COUNT},
//    ...]}}]}
//
// Numbers count from the start of this process, through reboots. Names: vm/engine/stats.h. A new member does not change
// the version; another meaning of one does.
#pragma once

#include <span>
#include <string>

#include "machine/pc/pc.h"
#include "vm/engine/engine.h"

namespace vireo::vmm {

struct MachineStats {
  std::string name, engine;
  u64 guest_ns = 0;
  std::span<const std::unique_ptr<vm::Vcpu>> vcpus;  ///< parked
  std::vector<machine::DeviceStats> devices = {};
};

std::string stats_as_json(const MachineStats& machine);

}  // namespace vireo::vmm
