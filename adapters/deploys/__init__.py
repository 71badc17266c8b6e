"""The ways to deploy, by the name that `prod_deploy.strategy` gives (spec 6.7): a new one is one file and one line."""

from adapters.deploys.git_push_heroku import GitPushHeroku
from adapters.deploys.repo_script import RepoScript

STRATEGIES = {
    "git_push_heroku": GitPushHeroku,
    "repo_script": RepoScript,
}
