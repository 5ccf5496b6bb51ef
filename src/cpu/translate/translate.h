// The translator: x86-64 guests at speed, without hardware virtualization. Guest code is rewritten for the host, which
// has the same instruction set: registers stay registers, flags stay flags, vectors stay vectors; memory operands are
// checked and moved to where the guest's memory lies in this process, control flow and privileged instructions are
// replaced.
//
// What is translated: 64-bit code, and 32-bit code in protected or compatibility mode with flat segments (FS and GS may
// have bases). The interpreter runs the rest: real and virtual-8086 mode, 16-bit code, other segments, single steps.
//
// Glossary
//   block        guest instructions that follow each other, within a page, up to a jump; side exits allowed   block.h
//   boundary     the beginning of a guest instruction in a block: guest registers are in their homes          layout.h
//   site         a place in a block that may call C++
//   slot, page entry, edge, jump    what translated code remembers of address translation                     context.h
//   helper       an instruction that the interpreter executes
//   mode         what a block relies on: privilege, SMAP's view, direction flag, which vectors are enabled     guest.h
//
// Life of a block
//   dispatch -> find (RIP, place in RAM, mode) -> decode (guest.h) -> plan: live flags, shared checks, where checks
//   stand (plan.h) -> generate (generate.h, rewrite.h) -> entered through Context::jumps or linked to -> its guest code
//   changes: invalidated; the cache is full: all blocks go (code_cache.h)
//
// Life of an access
//   check: address in the slot's range? (usually) -> host instruction at guest address + delta
//   not: a thunk fills the slot with the page, if that has a page entry (thunks.h), or takes apart what crosses pages
//   not there either: C++ walks the page tables and fills both (translations.h), and the check is tried again
//   not RAM, no rights: the interpreter executes the instruction, and raises what it raises
//
// Invariants
// - The interpreter's Cpu is the whole state whenever C++ runs, at a boundary. Registers and status flags are written
//   there by the thunks, vectors when C++ needs them (Context::vectors_loaded).
// - A guest instruction has no effect before the last of its checks has passed, so faults are precise. Status flags
//   that are overwritten before anybody reads them may be wrong in what a fault saves.
// - Host code reaches guest memory only through what a check (generate_memory.cpp) let pass, and a slot changes only
//   while no check that was passed is still relied on (Translations::forgotten).
// - In 32-bit code the upper halves of registers are zero. A checked access is at register + displacement in 64 bits
// when
//   that cannot have wrapped (kWrapMargin), else the address is wrapped before it is checked.
// - Stores go nowhere near code: pages with code users have no slots for stores (vm/memory/memory.h). A store to one is
//   executed by the interpreter, which changes the generation, and every vCPU drops the blocks before it goes on.
// - Interrupts, kicks and requests set Cpu::attention, which every loop of translated code looks at.
// - A translator belongs to one thread at a time; code caches are not shared.
#pragma once

#include <memory>

#include "host/perf_map.h"
#include "vm/engine/engine.h"

namespace vireo::cpu::translate {

/// What tests do to it, so that rare ways are taken all the time.
struct Stress {
  u32 flush_every = 0;                ///< translations after which the code cache is flushed; 0: when it is full
  u32 fallback_every = 0;             ///< every n-th instruction of a block is the interpreter's; 0: none
  bool pages_everywhere = false;      ///< all accesses are checked by the table of pages; all writes may cross
  bool attention_everywhere = false;  ///< translated code is left at every edge of a block, and events are looked for
  bool forget_everywhere = false;     ///< whenever it is entered, all address translation is forgotten
};

struct Options {
  u64 code_cache = 32 * kMiB;         ///< host code of one vCPU, bytes, a multiple of the page size; 1 MiB or more
  host::PerfMap* perf_map = nullptr;  ///< where blocks get names; outlives the vCPU
  Stress stress = {};
};

/// Whether this host can run it; an error says what is missing.
Result<> supported();

/// Errors: not supported, or the host gives no memory.
Result<std::unique_ptr<vm::Vcpu>> make_translator(const vm::VcpuSetup& setup, const Options& options);

}  // namespace vireo::cpu::translate
