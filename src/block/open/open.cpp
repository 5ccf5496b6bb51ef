#include "block/open/open.h"

#include <array>

#include "block/api/status.h"
#include "block/raw/raw.h"

namespace vireo::block {
namespace {

Result<std::string_view> probe_file(Storage& storage) {
  // As much as direct I/O asks for.
  alignas(4096) std::array<u8, 4096> beginning{};
  if (auto read = storage.read(0, beginning); !read) {
    return fail(ErrorKind::Failed, "cannot read {}: {}", storage.name(), describe(read.error()));
  }
  return probe(std::span(beginning).first(kProbed));
}

}  // namespace

Result<Format> parse_format(std::string_view name) {
  if (name == "raw") return Format::Raw;
  if (name == "qcow2") return Format::Qcow2;
  return fail(ErrorKind::Usage, "the format \"{}\" is unknown; choose raw or qcow2", name);
}

Result<std::unique_ptr<Image>> open_image(const std::string& path, const OpenOptions& options,
                                          std::shared_ptr<IoThreads> threads) {
  TRY_ASSIGN(auto storage,
             open_file(path, {.write = !options.read_only, .cache = options.cache, .lock = options.lock}, threads));
  Guard guard = Guard::Off;
  Format format = options.format.value_or(Format::Raw);
  if (!options.format) {
    TRY_ASSIGN(const auto seen, probe_file(*storage));
    if (seen == "qcow2") format = Format::Qcow2;
    if (!seen.empty() && seen != "qcow2") {
      return fail(ErrorKind::Usage,
                  "{} looks like a {} image, which cannot be read; if it is a raw one, add format=raw", path, seen);
    }
    guard = Guard::On;
  }
  if (format == Format::Qcow2) return fail(ErrorKind::Usage, "{} is a qcow2 image, which cannot be read", path);
  return make_raw(std::move(storage), guard);
}

}  // namespace vireo::block
