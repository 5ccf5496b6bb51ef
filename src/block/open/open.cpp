#include "block/open/open.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <vector>

#include "base/log.h"
#include "block/api/status.h"
#include "block/nbd/nbd.h"
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

std::function<void(std::function<void()>)> run_on(std::shared_ptr<IoThreads> threads) {
  return [threads = std::move(threads)](std::function<void()> work) { threads->workers.post(std::move(work)); };
}

class Opener {
 public:
  explicit Opener(std::shared_ptr<IoThreads> threads) : threads_(std::move(threads)) {}

  /// One more of the chain.
  Result<> enter(const std::string& path);
  Result<std::unique_ptr<Image>> open(const std::string& path, const OpenOptions& options);
  Result<std::unique_ptr<qcow2::Qcow2>> open_qcow2(std::unique_ptr<Storage> storage, const OpenOptions& options);
  Result<std::unique_ptr<Storage>> open_storage(const std::string& path, const OpenOptions& options) {
    if (nbd::is_uri(path)) return open_nbd(path, {.write = !options.read_only});
    return open_file(path, {.write = !options.read_only, .cache = options.cache, .lock = options.lock}, threads_);
  }

 private:
  Result<std::unique_ptr<Image>> open_backing(const std::string& overlay, const qcow2::Header& header,
                                              const OpenOptions& options);

  const std::shared_ptr<IoThreads> threads_;
  std::vector<std::string> chain_;
};

Result<> Opener::enter(const std::string& path) {
  std::error_code ignored;
  auto real = nbd::is_uri(path) ? path : std::filesystem::weakly_canonical(path, ignored).string();
  if (std::ranges::find(chain_, real) != chain_.end()) {
    return fail(ErrorKind::Usage, "{} is its own backing file", path);
  }
  if (chain_.size() >= kMaxChain) return fail(ErrorKind::Usage, "the chain of backing files is too long");
  chain_.push_back(std::move(real));
  return {};
}

Result<std::unique_ptr<Image>> Opener::open_backing(const std::string& overlay, const qcow2::Header& header,
                                                    const OpenOptions& options) {
  OpenOptions below{.read_only = true, .cache = options.cache, .lock = options.lock};
  if (!header.backing_format.empty()) {
    TRY_ASSIGN(below.format, parse_format(header.backing_format));
  } else {
    log::warning("{} does not say in which format its backing file {} is", overlay, header.backing_file);
  }
  TRY_ASSIGN(const auto path, resolve(overlay, header.backing_file));
  auto opened = open(path, below);
  if (!opened) return fail(opened.error().kind, "the backing file of {}: {}", overlay, opened.error().message);
  return opened;
}

Result<std::unique_ptr<qcow2::Qcow2>> Opener::open_qcow2(std::unique_ptr<Storage> storage, const OpenOptions& options) {
  const std::string path = storage->name();
  TRY_ASSIGN(const auto header, qcow2::read_header(*storage));
  qcow2::Parts parts;
  if (header.has_data_file()) {
    if (header.data_file.empty()) return fail(ErrorKind::Usage, "{} does not name its data file", path);
    TRY_ASSIGN(const auto data, resolve(path, header.data_file));
    TRY(enter(data));
    TRY_ASSIGN(parts.data, open_storage(data, options));
  }
  if (!header.backing_file.empty() && options.backing) {
    TRY_ASSIGN(parts.backing, open_backing(path, header, options));
  }
  parts.file = std::move(storage);
  parts.run = run_on(threads_);
  parts.read_only = options.read_only;
  parts.keep_dirty = options.keep_dirty;
  return qcow2::Qcow2::open(header, std::move(parts));
}

Result<std::unique_ptr<Image>> Opener::open(const std::string& path, const OpenOptions& options) {
  TRY(enter(path));
  TRY_ASSIGN(auto storage, open_storage(path, options));
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
  if (format == Format::Qcow2) return open_qcow2(std::move(storage), options);
  return make_raw(std::move(storage), guard);
}

}  // namespace

Result<Format> parse_format(std::string_view name) {
  if (name == "raw") return Format::Raw;
  if (name == "qcow2") return Format::Qcow2;
  return fail(ErrorKind::Usage, "the format \"{}\" is unknown; choose raw or qcow2", name);
}

Result<std::string> resolve(const std::string& image_path, const std::string& name) {
  std::string path = name.starts_with("file:") ? name.substr(5) : name;
  const auto colon = path.find(':');
  if (path.empty() || path.starts_with("json:") ||
      (colon != std::string::npos && path.substr(colon).starts_with("://"))) {
    return fail(ErrorKind::Usage, "{} stands on \"{}\", which is no file", image_path, name);
  }
  if (path.front() == '/') return path;
  if (nbd::is_uri(image_path)) {
    return fail(ErrorKind::Usage, "{} stands on \"{}\", which is in no folder of ours", image_path, name);
  }
  return (std::filesystem::path(image_path).parent_path() / path).string();
}

Result<std::unique_ptr<Image>> open_image(const std::string& path, const OpenOptions& options,
                                          std::shared_ptr<IoThreads> threads) {
  return Opener(std::move(threads)).open(path, options);
}

Result<std::unique_ptr<Image>> assemble_image(ImageParts parts, std::shared_ptr<IoThreads> threads) {
  if (parts.format == Format::Raw) return make_raw(std::move(parts.file), Guard::Off);
  const std::string name = parts.file->name();
  TRY_ASSIGN(const auto header, qcow2::read_header(*parts.file));
  if (header.has_data_file()) return fail(ErrorKind::Usage, "{} has a data file besides, which cannot be passed", name);
  const bool stands_on_something = !header.backing_file.empty() && !parts.no_backing;
  if (stands_on_something && !parts.backing) {
    return fail(ErrorKind::Usage, "{} stands on \"{}\"; pass that too, as \"backing\"", name, header.backing_file);
  }
  if (!stands_on_something && parts.backing) {
    return fail(ErrorKind::Usage, "{} does not stand on another image", name);
  }
  return qcow2::Qcow2::open(header, {.file = std::move(parts.file),
                                     .data = nullptr,
                                     .backing = std::move(parts.backing),
                                     .run = run_on(std::move(threads)),
                                     .read_only = parts.read_only});
}

Result<std::unique_ptr<qcow2::Qcow2>> open_qcow2(const std::string& path, const OpenOptions& options,
                                                 std::shared_ptr<IoThreads> threads) {
  Opener opener(std::move(threads));
  TRY(opener.enter(path));
  TRY_ASSIGN(auto storage, opener.open_storage(path, options));
  return opener.open_qcow2(std::move(storage), options);
}

}  // namespace vireo::block
