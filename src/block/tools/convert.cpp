#include <algorithm>
#include <filesystem>

#include "block/nbd/nbd.h"
#include "block/tools/copy.h"
#include "block/tools/new_disk.h"
#include "host/file_io.h"

namespace vireo::block {
namespace {

constexpr u64 kPiece = 2 * kMiB;
constexpr u64 kHole = 4096;  ///< bytes of zeroes that are not written

/// `skip_zeroes`: the target reads as zeroes where nothing was written.
Result<> write_piece(Image& to, u64 offset, std::span<const u8> bytes, bool skip_zeroes) {
  for (u64 at = 0; at < bytes.size();) {
    // Stretches that are zero, or not, in whole blocks.
    const auto block = [&](u64 start) { return bytes.subspan(start, std::min<u64>(kHole, bytes.size() - start)); };
    const bool zero = is_zero(block(at));
    u64 end = at + block(at).size();
    while (end < bytes.size() && is_zero(block(end)) == zero) end += block(end).size();
    if (!zero || !skip_zeroes) TRY(told(to.write(offset + at, bytes.subspan(at, end - at)), "write the new image"));
    at = end;
  }
  return {};
}

Result<> copy(Image& from, Image& to, bool compress, bool skip_zeroes, const Progress& progress) {
  const u64 size = from.geometry().size;
  auto* qcow = dynamic_cast<qcow2::Qcow2*>(&to);
  const u64 piece = compress && qcow != nullptr ? qcow->header().cluster_size() : kPiece;
  std::vector<u8> buffer(piece);
  for (u64 at = 0; at < size;) {
    if (progress) progress(at, size);
    const u64 length = std::min(size - at, piece - at % piece);
    TRY_ASSIGN(const Seen seen, look(from, at, size - at));
    if (seen.zero && seen.length >= std::min(length, kHole)) {
      // Whole blocks of the target; the rest comes with data.
      const u64 zeroes = seen.length < length && compress ? 0 : seen.length / 512 * 512;
      if (zeroes > 0) {
        const u64 whole = compress && at + zeroes < size ? zeroes / piece * piece : zeroes;
        if (whole > 0) {
          if (!skip_zeroes) TRY(told(to.write_zeroes(at, whole, true), "write the new image"));
          at += whole;
          continue;
        }
      }
    }
    const auto bytes = std::span(buffer).first(length);
    TRY(read_padded(from, at, bytes, "read the source"));
    if (!compress) {
      TRY(write_piece(to, at, bytes, skip_zeroes));
    } else if (!is_zero(bytes) || !skip_zeroes) {
      TRY(told(qcow->write_compressed(at, bytes), "write the new image"));
    }
    at += length;
  }
  if (progress) progress(size, size);
  return told(to.flush(), "write the new image");
}

Result<std::unique_ptr<Image>> open_source(const std::string& from, const Conversion& conversion,
                                           const std::shared_ptr<IoThreads>& threads) {
  OpenOptions options = conversion.source;
  options.read_only = true;
  TRY_ASSIGN(auto image, open_image(from, options, threads));
  if (conversion.snapshot.empty()) return image;
  auto* qcow = dynamic_cast<qcow2::Qcow2*>(image.get());
  if (qcow == nullptr) return fail(ErrorKind::Usage, "{} is raw and has no snapshots", from);
  TRY(qcow->look_at_snapshot(conversion.snapshot));
  return image;
}

}  // namespace

Result<> convert(const std::string& from, const std::string& to, const Conversion& conversion,
                 const std::shared_ptr<IoThreads>& threads, const Progress& progress) {
  TRY_ASSIGN(const auto source, open_source(from, conversion, threads));
  NewDisk target = conversion.target;
  target.image.size = source->geometry().size;
  const bool backed = !target.image.backing_file.empty();
  if (conversion.compress && target.format != Format::Qcow2) {
    return fail(ErrorKind::Usage, "a raw image cannot be compressed");
  }
  const OpenOptions open{.format = target.format};
  std::error_code ignored;
  if (nbd::is_uri(to) || std::filesystem::is_block_file(to, ignored)) {
    if (target.format != Format::Raw) return fail(ErrorKind::Usage, "{} is no file; only raw goes there", to);
    TRY_ASSIGN(const auto device, open_image(to, open, threads));
    if (device->geometry().size < target.image.size) return fail(ErrorKind::Usage, "{} is too small", to);
    return copy(*source, *device, false, false, progress);
  }
  TRY_ASSIGN(auto made, TemporaryDisk::create(to, target, threads));
  {
    TRY_ASSIGN(const auto image, open_image(made.path(), open, threads));
    TRY(copy(*source, *image, conversion.compress, !backed, progress));
  }
  return made.put_in_place();
}

}  // namespace vireo::block
