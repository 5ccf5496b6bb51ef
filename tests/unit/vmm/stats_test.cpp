#include "vmm/stats.h"

#include <gtest/gtest.h>

#include "fake_vcpu.h"

namespace vireo::vmm {
namespace {

class CountingVcpu final : public vm::Vcpu {
 public:
  unsigned id() const override { return 1; }
  vm::Exit run() override { return {}; }
  void kick() override {}
  vm::x86::CpuState state() override { return {}; }
  Result<> set_state(const vm::x86::CpuState&) override { return {}; }
  vm::Stats stats() override {
    return {.counters = {{"translations", 7}, {"interrupts", ~u64{0}}},
            .tables = {
                {"hottest_blocks", {{vm::Stats::address(0xFFFFFFFF81000000), 30}, {vm::Stats::address(0x400000), 2}}}}};
  }
};

TEST(StatsFile, HasWhatEnginesCountedInTheirOrder) {
  std::vector<std::unique_ptr<vm::Vcpu>> vcpus;
  vcpus.push_back(std::make_unique<FakeVcpu>(0));  // counts nothing
  vcpus.push_back(std::make_unique<CountingVcpu>());
  const auto text = stats_as_json({.name = "web\xFF-1",
                                   .engine = "interpret",
                                   .guest_ns = 1'500'000'000,
                                   .vcpus = vcpus,
                                   .devices = {{"virtio_blk0", {.counters = {{"notifications", 3}}, .tables = {}}}}});
  EXPECT_EQ(text, R"({
  "version": 1,
  "machine": "web�-1",
  "engine": "interpret",
  "guest_seconds": 1.5,
  "vcpus": [
    {
      "id": 0,
      "counters": {},
      "tables": {}
    },
    {
      "id": 1,
      "counters": {
        "translations": 7,
        "interrupts": 18446744073709551615
      },
      "tables": {
        "hottest_blocks": [
          {
            "what": "0xffffffff81000000",
            "count": 30
          },
          {
            "what": "0x0000000000400000",
            "count": 2
          }
        ]
      }
    }
  ],
  "devices": [
    {
      "name": "virtio_blk0",
      "counters": {
        "notifications": 3
      },
      "tables": {}
    }
  ]
}
)");
}

}  // namespace
}  // namespace vireo::vmm
