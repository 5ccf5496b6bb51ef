#include "block/qcow2/header.h"

#include <algorithm>

#include "base/bytes.h"
#include "block/api/status.h"

namespace vireo::block::qcow2 {
namespace {

class Parser {
 public:
  Parser(std::span<const u8> bytes, const std::string& name) : bytes_(bytes), name_(name) {}

  Result<Header> parse();

 private:
  template <class T>
  T at(u64 offset) const {
    return load_be<T>(bytes_.data() + offset);
  }
  Result<> parse_version_3(Header& header, u64& length) const;
  Result<> check(const Header& header) const;
  Result<> parse_extensions(Header& header, u64 from, u64 end) const;
  std::string unknown_features(u64 bits) const;
  std::string text(std::span<const u8> bytes) const { return {bytes.begin(), bytes.end()}; }

  std::span<const u8> bytes_;
  const std::string& name_;
};

/// Names from the feature name table, which is there for this very message.
std::string Parser::unknown_features(u64 bits) const {
  std::string names;
  u64 length = std::max<u64>(at<u32>(field::header_length), kHeaderV3);
  while (length + 8 <= bytes_.size()) {
    const u32 type = at<u32>(length), size = at<u32>(length + 4);
    if (type == extension::End || size > bytes_.size() - length - 8) break;
    if (type == extension::FeatureNames) {
      for (u64 entry = length + 8; entry + 48 <= length + 8 + size; entry += 48) {
        if (bytes_[entry] != 0 || bytes_[entry + 1] >= 64 || (bits >> bytes_[entry + 1] & 1) == 0) continue;
        bits &= ~(u64{1} << bytes_[entry + 1]);
        for (u64 i = entry + 2; i < entry + 48 && bytes_[i] >= ' ' && bytes_[i] < 0x7F; ++i) {
          names += static_cast<char>(bytes_[i]);
        }
        names += ", ";
      }
    }
    length += 8 + (u64{size} + 7) / 8 * 8;
  }
  for (unsigned bit = 0; bit < 64; ++bit) {
    if ((bits >> bit & 1) != 0) names += fmt::format("bit {}, ", bit);
  }
  names.resize(names.size() - 2);
  return names;
}

Result<> Parser::parse_version_3(Header& header, u64& length) const {
  header.incompatible_features = at<u64>(field::incompatible_features);
  header.compatible_features = at<u64>(field::compatible_features);
  header.autoclear_features = at<u64>(field::autoclear_features);
  header.refcount_order = at<u32>(field::refcount_order);
  length = at<u32>(field::header_length);
  if (length < kHeaderV3 || length > header.cluster_size() || length > bytes_.size()) {
    return fail(ErrorKind::Usage, "{}: the header's length {} is impossible", name_, length);
  }
  if (const u64 unknown = header.incompatible_features & ~incompatible::kKnown; unknown != 0) {
    return fail(ErrorKind::Usage, "{} uses features of qcow2 that are not supported: {}", name_,
                unknown_features(unknown));
  }
  if ((header.incompatible_features & incompatible::CompressionType) != 0) {
    if (length <= field::compression_type || bytes_[field::compression_type] > 1) {
      return fail(ErrorKind::Usage, "{} is compressed in a way that is not supported", name_);
    }
    header.compression_type = Compression{bytes_[field::compression_type]};
  }
  return {};
}

Result<> Parser::check(const Header& header) const {
  const auto wrong = [&](std::string_view what) { return fail(ErrorKind::Usage, "{}: {}", name_, what); };
  if (header.extended_l2() && header.cluster_bits < kMinExtendedL2ClusterBits) {
    return wrong("clusters are too small for subclusters");
  }
  if (header.refcount_order > kMaxRefcountOrder) return wrong("refcounts are too wide");
  const u64 in_cluster = header.cluster_size() - 1;
  const auto place = [&](u64 offset) { return (offset & in_cluster) == 0 && offset < kMaxHostOffset; };
  if (u64{header.l1_size} * 8 > kMaxL1Bytes) return wrong("the L1 table is too large");
  if (!place(header.l1_table_offset)) return wrong("the L1 table's place is impossible");
  if (header.size > (u64{1} << 62) || header.l1_entries_for(header.size) > header.l1_size) {
    return wrong("the L1 table is too small for the disk's size");
  }
  if (!place(header.refcount_table_offset)) return wrong("the refcount table's place is impossible");
  if (u64{header.refcount_table_clusters} << header.cluster_bits > kMaxRefcountTableBytes) {
    return wrong("the refcount table is too large");
  }
  if (header.refcount_table_clusters == 0) return wrong("there is no refcount table");
  if (header.nb_snapshots > kMaxSnapshots || !place(header.snapshots_offset)) {
    return wrong("the snapshot table is impossible");
  }
  return {};
}

Result<> Parser::parse_extensions(Header& header, u64 from, u64 end) const {
  while (from + 8 <= end) {
    const u32 type = at<u32>(from), size = at<u32>(from + 4);
    if (type == extension::End) return {};
    from += 8;
    if (size > end - from) return fail(ErrorKind::Usage, "{}: a header extension has no end", name_);
    const auto data = bytes_.subspan(from, size);
    from += (u64{size} + 7) / 8 * 8;
    switch (type) {
      case extension::BackingFormat:
        header.backing_format = text(data);
        break;
      case extension::DataFileName:
        header.data_file = text(data);
        break;
      case extension::Encryption:
        return fail(ErrorKind::Usage, "{} is encrypted, which is not supported", name_);
      default:
        header.others.push_back({type, {data.begin(), data.end()}});
    }
  }
  return {};
}

Result<Header> Parser::parse() {
  Header header;
  header.version = at<u32>(field::version);
  header.cluster_bits = at<u32>(field::cluster_bits);
  if (at<u32>(field::magic) != kMagic) return fail(ErrorKind::Usage, "{} is not a qcow2 image", name_);
  if (header.version != 2 && header.version != 3) {
    return fail(ErrorKind::Usage, "{} is qcow2 of version {}, which is not supported", name_, header.version);
  }
  if (header.cluster_bits < kMinClusterBits || header.cluster_bits > kMaxClusterBits) {
    return fail(ErrorKind::Usage, "{}: clusters of 2^{} bytes are impossible", name_, header.cluster_bits);
  }
  if (at<u32>(field::crypt_method) != 0) {
    return fail(ErrorKind::Usage, "{} is encrypted, which is not supported", name_);
  }
  header.size = at<u64>(field::size);
  header.l1_size = at<u32>(field::l1_size);
  header.l1_table_offset = at<u64>(field::l1_table_offset);
  header.refcount_table_offset = at<u64>(field::refcount_table_offset);
  header.refcount_table_clusters = at<u32>(field::refcount_table_clusters);
  header.nb_snapshots = at<u32>(field::nb_snapshots);
  header.snapshots_offset = at<u64>(field::snapshots_offset);
  u64 length = kHeaderV2;
  if (header.version == 3) TRY(parse_version_3(header, length));
  TRY(check(header));
  u64 end = std::min<u64>(bytes_.size(), header.cluster_size());
  const u64 backing_offset = at<u64>(field::backing_file_offset);
  const u32 backing_size = at<u32>(field::backing_file_size);
  if (backing_offset != 0) {
    if (backing_size > kMaxBackingName || backing_offset > end || backing_size > end - backing_offset ||
        backing_offset < length) {
      return fail(ErrorKind::Usage, "{}: the backing file's name is not in the first cluster", name_);
    }
    header.backing_file = text(bytes_.subspan(backing_offset, backing_size));
    if (header.backing_file.find('\0') != std::string::npos) {
      return fail(ErrorKind::Usage, "{}: the backing file's name has a zero byte in it", name_);
    }
    end = backing_offset;
  }
  TRY(parse_extensions(header, (length + 7) / 8 * 8, end));
  if (header.data_file.find('\0') != std::string::npos) {
    return fail(ErrorKind::Usage, "{}: the data file's name has a zero byte in it", name_);
  }
  return header;
}

void put_extension(std::vector<u8>& bytes, u32 type, std::span<const u8> data) {
  const auto at = bytes.size();
  bytes.resize(at + 8 + (data.size() + 7) / 8 * 8);
  store_be(bytes.data() + at, type);
  store_be(bytes.data() + at + 4, static_cast<u32>(data.size()));
  std::ranges::copy(data, bytes.begin() + static_cast<std::ptrdiff_t>(at + 8));
}

void put_extension(std::vector<u8>& bytes, u32 type, const std::string& text) {
  if (!text.empty()) put_extension(bytes, type, {reinterpret_cast<const u8*>(text.data()), text.size()});
}

}  // namespace

Result<Header> read_header(Storage& file) {
  const auto read = [&](std::span<u8> bytes) -> Result<> {
    const auto done = file.read(0, bytes);
    if (!done) return fail(ErrorKind::Failed, "cannot read {}: {}", file.name(), describe(done.error()));
    return {};
  };
  std::vector<u8> bytes(512);
  TRY(read(bytes));
  const u32 bits = load_be<u32>(bytes.data() + field::cluster_bits);
  if (bits > kMinClusterBits && bits <= kMaxClusterBits) {
    bytes.resize(u64{1} << bits);
    TRY(read(bytes));
  }
  return Parser(bytes, file.name()).parse();
}

void patch_header(const Header& header, std::span<u8> sector) {
  const auto put = [&](u32 at, auto value) { store_be(sector.data() + at, value); };
  put(field::size, header.size);
  put(field::l1_size, header.l1_size);
  put(field::l1_table_offset, header.l1_table_offset);
  put(field::refcount_table_offset, header.refcount_table_offset);
  put(field::refcount_table_clusters, header.refcount_table_clusters);
  put(field::nb_snapshots, header.nb_snapshots);
  put(field::snapshots_offset, header.snapshots_offset);
  if (header.version < 3) return;
  put(field::incompatible_features, header.incompatible_features);
  put(field::compatible_features, header.compatible_features);
  put(field::autoclear_features, header.autoclear_features);
}

Result<std::vector<u8>> format_header(const Header& header) {
  std::vector<u8> bytes(header.version == 2 ? kHeaderV2 : kHeaderLength);
  const auto put = [&](u32 at, auto value) { store_be(bytes.data() + at, value); };
  put(field::magic, kMagic);
  put(field::version, header.version);
  put(field::cluster_bits, header.cluster_bits);
  patch_header(header, bytes);
  if (header.version == 3) {
    put(field::refcount_order, header.refcount_order);
    put(field::header_length, kHeaderLength);
    bytes[field::compression_type] = static_cast<u8>(header.compression_type);
  }
  put_extension(bytes, extension::BackingFormat, header.backing_format);
  put_extension(bytes, extension::DataFileName, header.data_file);
  for (const auto& other : header.others) put_extension(bytes, other.type, other.data);
  put_extension(bytes, extension::End, std::span<const u8>());
  const auto name_at = bytes.size();
  if (!header.backing_file.empty()) {
    put(field::backing_file_offset, u64{name_at});
    put(field::backing_file_size, static_cast<u32>(header.backing_file.size()));
    bytes.insert(bytes.end(), header.backing_file.begin(), header.backing_file.end());
  }
  if (header.backing_file.size() > kMaxBackingName || bytes.size() > header.cluster_size()) {
    return fail(ErrorKind::Usage, "the name of the backing or data file is too long for the header");
  }
  bytes.resize(header.cluster_size());
  return bytes;
}

}  // namespace vireo::block::qcow2
