#include "block/qcow2/cluster.h"

#include "base/bits.h"
#include "base/bytes.h"

namespace vireo::block::qcow2 {
namespace {

/// "Compressed Clusters Descriptor": x, the bits of the offset.
unsigned offset_bits(const Header& header) { return 62 - (header.cluster_bits - 8); }

}  // namespace

Io<Cluster> decode(const Header& header, std::span<const u8> entry) {
  const u64 word = load_be<u64>(entry.data());
  const auto corrupt = std::unexpected(Status::IoError);
  Cluster cluster;
  cluster.copied = (word & kCopied) != 0;
  if ((word & kCompressed) != 0) {
    if (header.has_data_file()) return corrupt;
    const unsigned x = offset_bits(header);
    const u64 descriptor = word & (kCompressed - 1);
    cluster.compressed = true;
    cluster.copied = false;
    cluster.host = descriptor & (bit(x) - 1);
    cluster.compressed_bytes = ((descriptor >> x) + 1) * 512 - (cluster.host & 511);
    if (cluster.host >= kMaxHostOffset) return corrupt;
    return cluster;
  }
  cluster.host = word & kOffsetMask;
  if ((cluster.host & (header.cluster_size() - 1)) != 0) return corrupt;
  // Offset 0 is the header's, except in a data file.
  cluster.allocated = cluster.host != 0 || (header.has_data_file() && cluster.copied);
  if (header.extended_l2()) {
    const u64 bitmap = load_be<u64>(entry.data() + 8);
    cluster.data = static_cast<u32>(bitmap);
    cluster.zero = static_cast<u32>(bitmap >> 32);
    if ((cluster.data & cluster.zero) != 0 || (cluster.data != 0 && !cluster.allocated)) return corrupt;
    return cluster;
  }
  cluster.zero = header.version >= 3 && (word & kZero) != 0 ? 1 : 0;
  cluster.data = cluster.allocated && cluster.zero == 0 ? 1 : 0;
  return cluster;
}

void encode(const Header& header, const Cluster& cluster, std::span<u8> entry) {
  u64 word = 0;
  if (cluster.compressed) {
    const unsigned x = offset_bits(header);
    const u64 last = cluster.host + cluster.compressed_bytes - 1;
    word = kCompressed | ((last >> 9) - (cluster.host >> 9)) << x | cluster.host;
  } else {
    if (cluster.allocated) word = cluster.host | (cluster.copied ? kCopied : 0);
    if (!header.extended_l2() && cluster.zero != 0) word |= kZero;
  }
  store_be(entry.data(), word);
  if (header.extended_l2()) {
    store_be(entry.data() + 8, cluster.compressed ? u64{0} : u64{cluster.zero} << 32 | cluster.data);
  }
}

}  // namespace vireo::block::qcow2
