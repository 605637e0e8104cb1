"""What every provider of ``adapter/llm`` promises."""

from typing import Protocol

from pointsman.declarations import Component


class Llm(Protocol):
    """A language model. Concurrent tasks may share it."""

    async def chat(self, prompt: str) -> str:
        """Return the model's answer to one prompt.

        Raises:
            ProviderUnavailable: The vendor could not be reached, or refused for now.
            ProviderTimeout: The vendor did not answer in time.
        """
        ...


LLM = Component[Llm]("adapter", "llm")
