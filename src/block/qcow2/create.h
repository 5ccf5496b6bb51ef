// A new qcow2 image in an empty file.
#pragma once

#include <string>

#include "block/qcow2/header.h"

namespace vireo::block::qcow2 {

struct NewImage {
  u64 size = 0;  ///< bytes, a multiple of 512
  u32 version = 3;
  u64 cluster_size = 64 * kKiB;  ///< bytes
  u32 refcount_bits = 16;
  Compression compression = Compression::Zlib;
  bool extended_l2 = false;
  bool lazy_refcounts = false;
  std::string backing_file, backing_format;
  std::string data_file;  ///< its name for the header; empty: none
  bool data_file_raw = false;
};

/// Writes header and first tables; the image is complete and durable afterwards. Errors: Usage for what cannot be.
Result<> create(Storage& file, const NewImage& image);

}  // namespace vireo::block::qcow2
