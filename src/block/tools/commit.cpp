#include <algorithm>

#include "block/tools/copy.h"

namespace vireo::block {
namespace {

constexpr u64 kPiece = 2 * kMiB;

/// Where the image itself says what is there, not its backing file: calls `work` for each stretch of it, or of the
/// rest.
template <class Work>
Result<> each_stretch(Image& image, bool own, const Progress& progress, Work work) {
  const u64 size = image.geometry().size;
  for (u64 at = 0; at < size;) {
    if (progress) progress(at, size);
    const auto extent = image.extent_at(at, std::min(kPiece, size - at));
    TRY(told(extent, "read the image's tables"));
    if ((extent->kind != Extent::Kind::Backing) == own) TRY(work(at, *extent));
    at += extent->length;
  }
  if (progress) progress(size, size);
  return {};
}

}  // namespace

Result<> commit(const std::string& path, const std::shared_ptr<IoThreads>& threads, const Progress& progress) {
  // The backing file is opened to be written, so not by the chain.
  TRY_ASSIGN(const auto image, open_qcow2(path, {.read_only = true, .backing = false}, threads));
  const auto& header = image->header();
  if (header.backing_file.empty()) return fail(ErrorKind::Usage, "{} has no backing file to commit to", path);
  TRY_ASSIGN(const auto backing_path, resolve(path, header.backing_file));
  OpenOptions options;
  if (!header.backing_format.empty()) {
    TRY_ASSIGN(options.format, parse_format(header.backing_format));
  }
  TRY_ASSIGN(const auto backing, open_image(backing_path, options, threads));
  if (backing->geometry().size < image->geometry().size) {
    TRY(told(backing->resize(image->geometry().size), "make the backing file larger"));
  }
  std::vector<u8> buffer(kPiece);
  const auto commit_piece = [&](u64 at, const Extent& extent) -> Result<> {
    if (extent.kind == Extent::Kind::Zero) {
      return told(backing->write_zeroes(at, extent.length, true), "write the backing file");
    }
    const auto bytes = std::span(buffer).first(extent.length);
    TRY(told(image->read(at, bytes), "read the image"));
    return told(backing->write(at, bytes), "write the backing file");
  };
  TRY(each_stretch(*image, true, progress, commit_piece));
  return told(backing->flush(), "write the backing file");
}

Result<> rebase(const std::string& path, const Rebase& to, const std::shared_ptr<IoThreads>& threads,
                const Progress& progress) {
  std::unique_ptr<Image> target;
  if (!to.backing_file.empty()) {
    TRY_ASSIGN(const auto format, parse_format(to.backing_format));
    TRY_ASSIGN(const auto target_path, resolve(path, to.backing_file));
    if (!to.unsafe) {
      TRY_ASSIGN(target, open_image(target_path, {.format = format, .read_only = true}, threads));
    }
  }
  TRY_ASSIGN(const auto image, open_qcow2(path, {.backing = !to.unsafe}, threads));
  if (!to.unsafe && image->backing() != nullptr) {
    std::vector<u8> now(kPiece), then(kPiece);
    const auto keep_piece = [&](u64 at, const Extent& extent) -> Result<> {
      const auto old_bytes = std::span(now).first(extent.length), new_bytes = std::span(then).first(extent.length);
      TRY(told(image->read(at, old_bytes), "read the image"));
      std::ranges::fill(new_bytes, u8{0});
      if (target) TRY(read_padded(*target, at, new_bytes, "read the new backing file"));
      if (std::ranges::equal(old_bytes, new_bytes)) return {};
      return told(image->write(at, old_bytes), "write the image");
    };
    TRY(each_stretch(*image, false, progress, keep_piece));
    TRY(told(image->flush(), "write the image"));
  } else if (!to.unsafe && target) {
    // Without a backing file what is not there was zero.
    std::vector<u8> then(kPiece);
    const auto hide_piece = [&](u64 at, const Extent& extent) -> Result<> {
      const auto bytes = std::span(then).first(extent.length);
      TRY(read_padded(*target, at, bytes, "read the new backing file"));
      if (is_zero(bytes)) return {};
      return told(image->write_zeroes(at, extent.length, true), "write the image");
    };
    TRY(each_stretch(*image, false, progress, hide_piece));
    TRY(told(image->flush(), "write the image"));
  }
  return image->set_backing_name(to.backing_file, to.backing_format);
}

}  // namespace vireo::block
