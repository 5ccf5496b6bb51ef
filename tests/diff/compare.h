// What differs between two outcomes of a snippet.
#pragma once

#include "snippet.h"

namespace vireo::diff {

/// Lines "what: host value, guest value"; empty when all agrees. `data` is that of the host and of the guest.
std::string compare(const Snippet& snippet, const Outcome& host, const Outcome& guest, const u8* host_data,
                    const u8* guest_data);

/// Disassembly and start state.
std::string describe(const Snippet& snippet);

}  // namespace vireo::diff
