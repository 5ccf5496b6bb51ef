#include "block/tools/copy.h"

#include <algorithm>
#include <cstring>

#include "block/api/status.h"

namespace vireo::block {

template <class T>
Result<> told(const Io<T>& done, std::string_view what) {
  if (!done) return fail(ErrorKind::Failed, "cannot {}: {}", what, describe(done.error()));
  return {};
}
template Result<> told(const Io<>& done, std::string_view what);
template Result<> told(const Io<Extent>& done, std::string_view what);

bool is_zero(std::span<const u8> bytes) {
  return bytes.empty() || (bytes[0] == 0 && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

Result<Seen> look(Image& image, u64 offset, u64 length) {
  const u64 size = image.geometry().size;
  if (offset >= size) return Seen{true, length};
  const auto extent = image.extent_at(offset, std::min(length, size - offset));
  TRY(told(extent, "read the tables of an image"));
  if (extent->kind == Extent::Kind::Data) return Seen{false, extent->length};
  if (extent->kind == Extent::Kind::Zero || image.backing() == nullptr) return Seen{true, extent->length};
  return look(*image.backing(), offset, extent->length);
}

Result<> read_padded(Image& image, u64 offset, std::span<u8> bytes, std::string_view what) {
  const u64 size = image.geometry().size;
  const u64 there = offset >= size ? 0 : std::min<u64>(bytes.size(), size - offset);
  std::ranges::fill(bytes.subspan(there), u8{0});
  if (there == 0) return {};
  return told(image.read(offset, bytes.first(there)), what);
}

}  // namespace vireo::block
