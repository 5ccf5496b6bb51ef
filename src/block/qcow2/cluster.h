// What an L2 entry says about a cluster of the disk, standard and extended entries alike ("L2 table entry").
//
// Without extended entries a cluster is its own and only subcluster.
#pragma once

#include <span>

#include "block/qcow2/header.h"

namespace vireo::block::qcow2 {

struct Cluster {
  u64 host = 0;              ///< bytes; of compressed data the first one, at any place
  u64 compressed_bytes = 0;  ///< how many there are at most
  u32 data = 0;              ///< subclusters whose bytes are at `host`, one bit each
  u32 zero = 0;              ///< subclusters that read as zeroes; what is in neither comes from the backing image
  bool allocated = false;    ///< there is a host cluster, even if none of its bytes count
  bool copied = false;       ///< nobody else uses it
  bool compressed = false;

  /// May be written in place.
  bool own() const { return allocated && copied && !compressed; }
  bool operator==(const Cluster&) const = default;
};

inline u32 all_subclusters(const Header& header) { return header.extended_l2() ? ~u32{0} : 1; }

/// IoError for an entry that cannot be.
Io<Cluster> decode(const Header& header, std::span<const u8> entry);
void encode(const Header& header, const Cluster& cluster, std::span<u8> entry);

}  // namespace vireo::block::qcow2
