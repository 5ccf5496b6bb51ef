// The commands about the network: netdev_add and netdev_del (of type user), set_link, and hostfwd_add and
// hostfwd_remove, which QEMU has for people only:
//
//   {"execute": "hostfwd_add",    "arguments": {"id": "net0", "str": "tcp:127.0.0.1:2222-:22"}}
//   {"execute": "hostfwd_remove", "arguments": {"id": "net0", "str": "tcp:127.0.0.1:2222"}}
#pragma once

#include "api/qmp_commands.h"
#include "vmm/network.h"

namespace vireo::vmm {

/// `network` outlives the commands.
void add_network_commands(api::Commands& commands, Network& network);

}  // namespace vireo::vmm
