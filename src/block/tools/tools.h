// What `vireo image` does with whole images. Everything survives a power cut at any moment: what is new gets its name
// last, and what is changed in place is sound in between.
//
// Errors as block/open; Failed for input and output.
#pragma once

#include <functional>

#include "block/open/open.h"

namespace vireo::block {

/// Called now and then with the bytes that are done and that there are.
using Progress = std::function<void(u64 done, u64 total)>;

struct NewDisk {
  Format format = Format::Raw;
  qcow2::NewImage image;  ///< of raw, only the size
};

/// Makes `path`, or replaces it, unless somebody uses it. A backing file must be there.
Result<> create_disk(const std::string& path, const NewDisk& disk, const std::shared_ptr<IoThreads>& threads);

struct Conversion {
  NewDisk target;         ///< its size is the source's
  bool compress = false;  ///< qcow2
  std::string snapshot;   ///< an internal snapshot of the source, empty: the disk as it is
  OpenOptions source = {};
};
/// `to` is replaced when everything is there; a block device or NBD export is written in place.
Result<> convert(const std::string& from, const std::string& to, const Conversion& conversion,
                 const std::shared_ptr<IoThreads>& threads, const Progress& progress);

/// Writes what the image has into its backing file; the image stays as it is.
Result<> commit(const std::string& path, const std::shared_ptr<IoThreads>& threads, const Progress& progress);

struct Rebase {
  std::string backing_file, backing_format;  ///< empty: none
  bool unsafe = false;                       ///< the names only; the caller knows that the content is the same
};
/// Gives the image another backing file, and what it would read differently then.
Result<> rebase(const std::string& path, const Rebase& to, const std::shared_ptr<IoThreads>& threads,
                const Progress& progress);

}  // namespace vireo::block
