#include "block/seed/iso9660.h"

#include <algorithm>
#include <bit>
#include <cctype>
#include <cstring>

#include "base/bytes.h"

namespace vireo::block {
namespace {

constexpr u32 kSector = 2048;

// Where everything is, in sectors. The first 16 are the system area (ECMA-119 6.2.1).
enum Place : u32 {
  kPrimary = 16,
  kJoliet,
  kTerminator,
  kPathTables,  // L and M of the primary volume, L and M of the Joliet one: a sector each
  kPrimaryRoot = kPathTables + 4,
  kJolietRoot,
  kFirstFile,
};

constexpr std::size_t kMaxFiles = 8, kMaxName = 32, kMaxLabel = 16;
constexpr u64 kMaxBytes = 16u << 20;

bool good_name(std::string_view name, std::size_t longest) {
  return !name.empty() && name.size() <= longest && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.';
  });
}

u32 sectors(u64 bytes) { return static_cast<u32>((bytes + kSector - 1) / kSector); }

template <class T>
T big_endian(T value) {
  return std::byteswap(value);
}

std::string ucs2(std::string_view text) {
  std::string wide;
  for (const char c : text) wide += {'\0', c};
  return wide;
}

/// How names look in one of the two volumes.
struct Volume {
  bool joliet;

  /// A file's identifier (ECMA-119 7.5): in capital letters, in the primary one.
  std::string file(std::string_view name) const {
    if (joliet) return ucs2(name);
    std::string upper(name);
    std::transform(upper.begin(), upper.end(), upper.begin(), [](unsigned char c) { return std::toupper(c); });
    if (upper.find('.') == std::string::npos) upper += '.';
    return upper + ";1";
  }
  /// A field of a volume descriptor, filled up with spaces.
  std::string field(std::string_view text, std::size_t size) const {
    std::string filled = joliet ? ucs2(text) : std::string(text);
    const std::string space = joliet ? ucs2(" ") : " ";
    while (filled.size() + space.size() <= size) filled += space;
    filled.resize(size);
    return filled;
  }
};

/// Writes at any place of an image that is there already.
class Pen {
 public:
  Pen(std::vector<u8>& image, u64 at) : image_(image), at_(at) {}

  void text(std::string_view bytes) {
    std::memcpy(image_.data() + at_, bytes.data(), bytes.size());
    at_ += bytes.size();
  }
  template <class T>
  void number(T value) {
    store(image_.data() + at_, value);
    at_ += sizeof(T);
  }
  /// Both byte orders (7.2.3, 7.3.3).
  template <class T>
  void both(T value) {
    number(value);
    number(big_endian(value));
  }
  void skip(u64 bytes) { at_ += bytes; }

 private:
  std::vector<u8>& image_;
  u64 at_;
};

/// A directory record (9.1). Its length is even.
void put_record(Pen& pen, std::string_view identifier, u32 sector, u32 bytes, bool directory) {
  const std::size_t length = (33 + identifier.size() + 1) & ~std::size_t{1};
  pen.number(static_cast<u8>(length));
  pen.number(u8{0});  // no extended attributes
  pen.both(sector);
  pen.both(bytes);
  pen.skip(7);  // no time
  pen.number(static_cast<u8>(directory ? 2 : 0));
  pen.skip(2);  // not interleaved
  pen.both(u16{1});
  pen.number(static_cast<u8>(identifier.size()));
  pen.text(identifier);
  pen.skip(length - 33 - identifier.size());
}

constexpr std::string_view kThis("\0", 1), kParent("\1", 1);

/// A volume descriptor (8.4, 8.5), which holds the record of the root directory.
void put_descriptor(std::vector<u8>& image, Volume volume, std::string_view label) {
  Pen pen(image, u64{volume.joliet ? kJoliet : kPrimary} * kSector);
  pen.number(static_cast<u8>(volume.joliet ? 2 : 1));
  pen.text("CD001");
  pen.number(u8{1});
  pen.skip(1);
  pen.text(volume.field("", 32));     // system
  pen.text(volume.field(label, 32));  // volume
  pen.skip(8);
  pen.both(static_cast<u32>(image.size() / kSector));
  pen.text(volume.joliet ? "%/E" : std::string_view("\0\0\0", 3));  // Joliet: UCS-2 level 3
  pen.skip(29);
  pen.both(u16{1});  // volumes in the set, number of this one
  pen.both(u16{1});
  pen.both(static_cast<u16>(kSector));
  pen.both(u32{10});  // size of a path table
  const u32 tables = kPathTables + (volume.joliet ? 2 : 0);
  pen.number(tables);
  pen.number(u32{0});
  pen.number(big_endian(tables + 1));
  pen.number(u32{0});
  put_record(pen, kThis, volume.joliet ? kJolietRoot : kPrimaryRoot, kSector, true);
  // Set, publisher, preparer, application; copyright, abstract, bibliography.
  for (const std::size_t size : {128, 128, 128, 128, 37, 37, 37}) pen.text(volume.field("", size));
  for (int i = 0; i < 4; ++i) {  // no times (8.4.26.1)
    pen.text("0000000000000000");
    pen.skip(1);
  }
  pen.number(u8{1});
}

/// The path tables (9.4), which name the root alone, and the root directory.
void put_directory(std::vector<u8>& image, Volume volume, std::span<const IsoFile> files) {
  const u32 root = volume.joliet ? kJolietRoot : kPrimaryRoot, tables = kPathTables + (volume.joliet ? 2 : 0);
  for (const bool big : {false, true}) {
    Pen pen(image, u64{tables + (big ? 1 : 0)} * kSector);
    pen.number(u8{1});
    pen.skip(1);
    pen.number(big ? big_endian(root) : root);
    pen.number(big ? big_endian(u16{1}) : u16{1});
  }
  Pen pen(image, u64{root} * kSector);
  put_record(pen, kThis, root, kSector, true);
  put_record(pen, kParent, root, kSector, true);

  struct Entry {
    std::string identifier;
    u32 sector, bytes;
  };
  std::vector<Entry> entries;
  u32 sector = kFirstFile;
  for (const auto& file : files) {
    entries.push_back({volume.file(file.name), sector, static_cast<u32>(file.content.size())});
    sector += sectors(file.content.size());
  }
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.identifier < b.identifier; });
  for (const auto& entry : entries) put_record(pen, entry.identifier, entry.sector, entry.bytes, false);
}

}  // namespace

Result<std::vector<u8>> make_iso9660(std::string_view label, std::span<const IsoFile> files) {
  if (!good_name(label, kMaxLabel)) return fail(ErrorKind::Usage, "\"{}\" cannot be the label of a volume", label);
  if (files.size() > kMaxFiles) return fail(ErrorKind::Usage, "{} files are too many for one seed", files.size());
  u64 bytes = 0;
  for (const auto& file : files) {
    if (!good_name(file.name, kMaxName))
      return fail(ErrorKind::Usage, "\"{}\" cannot be the name of a file", file.name);
    bytes += u64{sectors(file.content.size())} * kSector;
    if (file.content.size() > kMaxBytes || bytes > kMaxBytes) {
      return fail(ErrorKind::Usage, "the files are larger than {} MiB in all", kMaxBytes >> 20);
    }
  }

  std::vector<u8> image(u64{kFirstFile} * kSector + bytes);
  for (const bool joliet : {false, true}) {
    put_descriptor(image, {joliet}, label);
    put_directory(image, {joliet}, files);
  }
  Pen terminator(image, u64{kTerminator} * kSector);
  terminator.number(u8{255});
  terminator.text("CD001");
  terminator.number(u8{1});

  u64 at = u64{kFirstFile} * kSector;
  for (const auto& file : files) {
    Pen(image, at).text(file.content);
    at += u64{sectors(file.content.size())} * kSector;
  }
  return image;
}

}  // namespace vireo::block
