// What cloud-init in a guest reads at its first start: the disk of its NoCloud source, an ISO 9660 image labelled
// "cidata" with the files user-data and meta-data.
//
// The instance-id follows from the content: a machine whose seed changed is configured anew, one that is merely started
// again is not. The same content gives the same bytes, so a saved machine finds the disk it had.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/types.h"

namespace vireo::block {

struct Seed {
  std::string user_data;  ///< as cloud-init takes it ("#cloud-config", a script, MIME); empty: nothing to do
  std::string ssh_keys;   ///< lines of authorized_keys, for the image's default user; empty: none
  std::string hostname;   ///< RFC 1123; empty: the image's own
};

constexpr u64 kMaxUserData = 1 << 20;  ///< bytes
constexpr u64 kMaxSshKeys = 64 << 10;  ///< bytes

/// Errors: Usage, beginning with what is wrong ("the user data ...", "the ssh key ...", "the host name ...").
Result<std::vector<u8>> make_seed(const Seed& seed);

}  // namespace vireo::block
