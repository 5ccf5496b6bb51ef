// What a person or a program can say to a running machine: the commands of the control socket, and what it tells of the
// machine's life.
#pragma once

#include "machine/pc/pc.h"
#include "vmm/control.h"
#include "vmm/cpu_threads.h"
#include "vmm/life.h"

namespace vireo::vmm {

struct Controlled {
  Life& life;
  const machine::Pc& pc;
  const CpuThreads& cpus;
  bool kvm_usable = false;  ///< on this host
  bool kvm_used = false;
};

/// What is controlled outlives the socket.
void add_commands(Control& control, const Controlled& what);

/// An event of the machine's life, as QMP names it.
void announce(Control& control, const LifeEvent& event);

}  // namespace vireo::vmm
