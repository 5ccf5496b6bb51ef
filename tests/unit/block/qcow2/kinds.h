// Kinds of qcow2 images, for tests that go over all of them.
#pragma once

#include <ostream>
#include <vector>

#include "block/qcow2/create.h"

namespace vireo::test {

struct Kind {
  const char* name;
  block::qcow2::NewImage image;
  bool backing = false;

  friend void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.name; }
};

inline std::vector<Kind> kinds() {
  using block::qcow2::Compression;
  const auto kind = [](const char* name, auto change, bool backing = false) {
    Kind made{name, {}, backing};
    made.image.size = 4 * kMiB + 1536;
    change(made.image);
    return made;
  };
  return {
      kind("default", [](auto&) {}),
      kind(
          "backing", [](auto&) {}, true),
      kind("version2", [](auto& i) { i.version = 2; }),
      kind(
          "version2_backing", [](auto& i) { i.version = 2; }, true),
      kind("cluster512", [](auto& i) { i.cluster_size = 512, i.size = kMiB + 512; }),
      kind("cluster512_refcount64", [](auto& i) { i.cluster_size = 512, i.refcount_bits = 64, i.size = kMiB; }),
      kind("cluster512_refcount1", [](auto& i) { i.cluster_size = 512, i.refcount_bits = 1, i.size = kMiB; }),
      kind("cluster4K_refcount2", [](auto& i) { i.cluster_size = 4096, i.refcount_bits = 2; }),
      kind(
          "cluster4K_refcount4_backing", [](auto& i) { i.cluster_size = 4096, i.refcount_bits = 4; }, true),
      kind(
          "cluster2M", [](auto& i) { i.cluster_size = 2 * kMiB, i.size = 24 * kMiB; }, true),
      kind("refcount8", [](auto& i) { i.refcount_bits = 8; }),
      kind("refcount32", [](auto& i) { i.refcount_bits = 32; }),
      kind(
          "zstd", [](auto& i) { i.compression = Compression::Zstd; }, true),
      kind("extended_l2", [](auto& i) { i.extended_l2 = true; }),
      kind(
          "extended_l2_16K_backing", [](auto& i) { i.extended_l2 = true, i.cluster_size = 16 * kKiB; }, true),
      kind("extended_l2_2M", [](auto& i) { i.extended_l2 = true, i.cluster_size = 2 * kMiB, i.size = 24 * kMiB; }),
      kind("lazy", [](auto& i) { i.lazy_refcounts = true; }),
      kind("data_file", [](auto& i) { i.data_file = "data"; }),
      kind("data_file_raw", [](auto& i) { i.data_file = "data", i.data_file_raw = true; }),
      kind(
          "data_file_extended_l2", [](auto& i) { i.data_file = "data", i.extended_l2 = true; }, true),
  };
}

}  // namespace vireo::test
