// A whole machine to and from a stream of records.
//
// Saving: everything but the boot files is written while the guest stands still. Restoring goes over the file twice:
// `examine` reads all of it and checks every record, without a machine; then the caller builds the machine that is
// described, loads the states, and `load_memory` fills its RAM. So nothing is built from a file that is damaged
// anywhere.
#pragma once

#include <vector>

#include "host/fd.h"
#include "snapshot/description.h"
#include "snapshot/stream.h"
#include "vm/memory/memory.h"
#include "vm/state/archive.h"
#include "vm/x86/state.h"

namespace vireo::snapshot {

struct Contents {
  MachineDescription machine;
  std::vector<vm::StateRecord> states;  ///< devices and clock, in the order they were saved
  std::vector<vm::x86::CpuState> cpus;
};

/// Begins the stream; the caller adds boot files if there are any, and ends it. `pagemap_file` is that of
/// host::Pagemap::open.
Result<> save(const Contents& contents, const vm::GuestMemory& memory, const host::Fd& pagemap_file, Writer& writer);

/// Reads and checks everything but the compressed bytes of RAM.
Result<Contents> examine(Source& source);

/// Fills `memory`, which is all zero, from a stream that `examine` accepted.
Result<> load_memory(Source& source, vm::GuestMemory& memory);

/// A file that the guest was booted from, kept in the stream in pieces.
enum class BootFile : u8 { Kernel = 0, Initrd = 1, Firmware = 2 };
Result<> save_boot_file(Writer& writer, BootFile which, Source& from);
/// Copies it out again; false when the stream has none.
Result<bool> load_boot_file(Source& source, BootFile which, Sink& to);

}  // namespace vireo::snapshot
