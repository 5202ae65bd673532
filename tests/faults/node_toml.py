"""The settings of a node under faults: everything is due soon, and nothing is kept from what is under trial."""

SETTINGS = """
[node]
address = "127.0.0.1"
port = {port}
[storage]
data_dir = "{data}"
database_url = "{database_url}"
reserve_bytes = 0
[workers]
broker_url = "{broker_url}"
[models]
directory = "{models}"
device = "cpu"
threads = 1
[rules]
seed = "{folder}/rules.toml"
[brakes]
max_study_age_days = 0
[timing]
series_quiet_s = {series_quiet_s}
study_quiet_s = {quiet_s}
association_stale_s = 5
clock_s = 0.2
lease_s = 2
token_gap_s = 1
retry_first_s = 0.3
retry_longest_s = {retry_longest_s}
maximum_lost = {maximum_lost}
[timeouts]
dimse_s = 10
[web]
port = {web_port}
[[peers]]
ae_title = "{calling}"
[[destinations]]
name = "pacs"
{destination}
"""
BY_C_STORE = """kind = "c_store"
parameters = {{ host = "127.0.0.1", port = {port}, called_ae_title = "{archive}" }}
"""
BY_COPY = """kind = "folder"
parameters = {{ folder = "{folder}" }}
"""
