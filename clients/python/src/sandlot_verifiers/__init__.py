"""Where verifiers looks for the plugin `sandlot-verifiers`: one taskset and one harness."""

from sandlot.adapters.verifiers import SandlotHarness, SandlotTaskset

__all__ = ["SandlotHarness", "SandlotTaskset"]
