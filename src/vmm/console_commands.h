// The control socket's commands about consoles.
#pragma once

#include "api/qmp_commands.h"
#include "vmm/consoles.h"

namespace vireo::vmm {

/// query-chardev, as QEMU has it, and query-console-log: what a serial port has said.
///
///   {"device": "serial0", "from": 0, "size": 65536, "format": "utf8"}
///   -> {"from": 0, "next": 120, "end": 120, "data": "..."}
///
/// Bytes are numbered from the machine's start, and the last MiB is kept: `from` is larger than what was asked for
/// where some are lost. `next` is what to ask for to go on. Without "from": from the oldest on. Format "base64" gives
/// bytes that are no text as they are. Unlike QEMU's ringbuf-read it takes nothing away, so that several may read.
/// `consoles` outlives the table.
void add_console_commands(api::Commands& commands, const Consoles& consoles);

}  // namespace vireo::vmm
