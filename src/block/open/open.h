// From the name of a file, or of an NBD export (block/nbd/uri.h), to a disk: opens it and what it stands on, locks
// them, finds their formats.
//
// A format that is given is believed. Without one the first bytes decide: those of qcow2 make it qcow2, those of a
// format we do not read are an error, and everything else is raw, which then stays raw (block/raw/raw.h, Guard). For a
// backing file, its image gives the format.
//
// An image's own names are of files, never of exports: whoever wrote the image does not choose whom we connect to.
// Relative ones are relative to its folder. Chains have at most kMaxChain images and no loop.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "block/api/image.h"
#include "block/file/file.h"
#include "block/qcow2/create.h"
#include "block/qcow2/qcow2.h"

namespace vireo::block {

constexpr unsigned kMaxChain = 200;

enum class Format : u8 { Raw, Qcow2 };

Result<Format> parse_format(std::string_view name);

struct OpenOptions {
  std::optional<Format> format = {};
  bool read_only = false;
  Cache cache = Cache::Writeback;
  bool lock = true;         ///< false: look at what somebody else may be writing
  bool backing = true;      ///< false: the image alone, as if it had no backing file
  bool keep_dirty = false;  ///< as it is: not repaired
};

/// Errors: NotFound, Denied, WrongState (in use), Usage (not what it is said to be).
Result<std::unique_ptr<Image>> open_image(const std::string& path, const OpenOptions& options,
                                          std::shared_ptr<IoThreads> threads);
/// The same, of what must be qcow2.
Result<std::unique_ptr<qcow2::Qcow2>> open_qcow2(const std::string& path, const OpenOptions& options,
                                                 std::shared_ptr<IoThreads> threads);

/// An image whose files are open already: names that stand in it are not followed.
struct ImageParts {
  std::unique_ptr<Storage> file;
  Format format = Format::Raw;
  bool read_only = false;
  std::unique_ptr<Image> backing;  ///< read-only; what the image stands on if it says that it stands on something
  bool no_backing = false;         ///< it is to be used as if it stood on nothing
};
/// Errors as of open_image; Usage for parts that the image names and that are missing.
Result<std::unique_ptr<Image>> assemble_image(ImageParts parts, std::shared_ptr<IoThreads> threads);

/// Where a name that stands in an image is. Usage for what is no file (json:, nbd:).
Result<std::string> resolve(const std::string& image_path, const std::string& name);

}  // namespace vireo::block
