"""
Sandlot in verl 0.7.1 and later: an agent loop, named in `agent_loop.yaml`, and the tools, named in `tool_config.yaml`.

Nothing is registered at import: verl would put a registered class in the place of the YAML entry and lose its settings.
"""
