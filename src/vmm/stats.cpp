#include "vmm/stats.h"

#include <nlohmann/json.hpp>

namespace vireo::vmm {
namespace {

constexpr unsigned kVersion = 1;

using Json = nlohmann::ordered_json;

Json as_json(const vm::Stats& stats) {
  Json counters = Json::object(), tables = Json::object();
  for (const auto& counter : stats.counters) counters[counter.what] = counter.count;
  for (const auto& table : stats.tables) {
    Json rows = Json::array();
    for (const auto& row : table.rows) rows.push_back({{"what", row.what}, {"count", row.count}});
    tables[table.name] = std::move(rows);
  }
  return {{"counters", std::move(counters)}, {"tables", std::move(tables)}};
}

}  // namespace

std::string stats_as_json(const MachineStats& machine) {
  Json vcpus = Json::array();
  for (const auto& vcpu : machine.vcpus) {
    Json one = {{"id", vcpu->id()}};
    one.update(as_json(vcpu->stats()));
    vcpus.push_back(std::move(one));
  }
  Json devices = Json::array();
  for (const auto& device : machine.devices) {
    Json one = {{"name", device.name}};
    one.update(as_json(device.stats));
    devices.push_back(std::move(one));
  }
  const Json all = {{"version", kVersion},       {"machine", machine.name},
                    {"engine", machine.engine},  {"guest_seconds", static_cast<double>(machine.guest_ns) / 1e9},
                    {"vcpus", std::move(vcpus)}, {"devices", std::move(devices)}};
  return all.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace vireo::vmm
