// The arguments of blockdev-add: a node, and those that it stands on.
//
//   {"driver": "qcow2", "node-name": "d", "file": {"driver": "file", "filename": "/dev/fdset/1"}, "backing": null}
//
// Drivers are raw, qcow2, and file (for block devices host_device as well). Of QEMU's options there are those that mean
// something here: node-name, read-only, auto-read-only (taken, and nothing is done about it), discard (taken: a guest's
// discards always reach the file), cache.direct and cache.no-flush, filename of a file, file and backing of a format.
// A child is an object, or the name of a node that is there already.
//
// The text is a client's: nesting, lengths and types are checked here, and what is not understood is an error.
#pragma once

#include <memory>
#include <string>
#include <variant>

#include "api/qmp.h"
#include "base/result.h"

namespace vireo::api {

struct BlockOptions {
  static constexpr unsigned kMaxDepth = 16;          ///< of nodes in each other
  static constexpr std::size_t kMaxNodeName = 31;    ///< QEMU's
  static constexpr std::size_t kMaxFilename = 1024;  ///< bytes

  enum class Driver : u8 { File, Raw, Qcow2 };
  /// Nothing, the name of a node, or one of its own.
  using Child = std::variant<std::monostate, std::string, std::unique_ptr<BlockOptions>>;

  Driver driver = Driver::File;
  std::string node_name;  ///< empty: it has none
  bool read_only = false, direct = false, no_flush = false;
  std::string filename;  ///< of a file
  Child file;            ///< of a format; there is one
  Child backing;         ///< of qcow2
  bool no_backing = false;

  /// Errors, in QEMU's words where it has some: Usage.
  static Result<BlockOptions> parse(const Json& object, unsigned depth = 0);
};

/// QEMU's rule for what clients name: a letter, then letters, digits and - . _
bool is_identifier(const std::string& name, std::size_t longest);

const char* driver_name(BlockOptions::Driver driver);

}  // namespace vireo::api
