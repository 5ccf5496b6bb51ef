// The commands about disks: blockdev-add, blockdev-del, query-block, query-named-block-nodes.
#pragma once

#include "api/qmp_commands.h"
#include "vmm/block_nodes.h"

namespace vireo::vmm {

/// `nodes` outlives the commands.
void add_block_commands(api::Commands& commands, BlockNodes& nodes);

}  // namespace vireo::vmm
