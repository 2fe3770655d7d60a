"""An agent loop on LangChain (`create_agent`) over any OpenAI-compatible endpoint.

LangChain decides when a tool is called and when it is over; what a tool does, and whether it may, is the caller's: it
hands over plain functions. Nothing is retried, cached, traced or remembered here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import httpx
import openai

from adapters.address import http_address, plain_key
from adapters.llm.base import AgentAnswer, AgentTool, ChatMessage
from adapters.llm.failures import ADDRESS, explained
from domain.errors import BudgetExhausted, DependencyLied

# A step is a model's answer or the tools it called.
MOST_STEPS = 16
MOST_TOKENS = 4096


class LangChainAgent:
    """An `AgentPort` on LangChain.

    Args:
        timeout: of one answer of the model.
        usd_per_1m_tokens: what a million tokens cost.
        most_steps: answers and rounds of tools, together.

    Raises:
        ConfigurationError: the address or the key cannot be one.
    """

    def __init__(
        self,
        *,
        model: str,
        api_key: str,
        base_url: str,
        timeout: timedelta = timedelta(seconds=60),
        usd_per_1m_tokens: float = 0.0,
        most_steps: int = MOST_STEPS,
    ) -> None:
        self.name = model
        self._key = plain_key(api_key, field="OPENAI_API_KEY")
        self._address = str(http_address(base_url, field="OPENAI_BASE_URL"))
        self._timeout = timeout
        self._price = usd_per_1m_tokens
        self._most = most_steps

    def answer(self, system: str, said: Sequence[ChatMessage], tools: Sequence[AgentTool]) -> AgentAnswer:
        """See `AgentPort.answer`."""
        from langchain.agents import create_agent

        agent: Any = create_agent(self._model(), [_tool(tool) for tool in tools], system_prompt=system)
        messages = [{"role": message.role, "content": message.content} for message in said]
        with _Vendor(self.name):
            state = agent.invoke({"messages": messages}, {"recursion_limit": self._most})
        return self._told(list(state["messages"])[len(messages) :])

    def _model(self) -> Any:
        from langchain_openai import ChatOpenAI
        from pydantic import SecretStr

        made: Any = ChatOpenAI
        return made(
            model=self.name,
            api_key=SecretStr(self._key),
            base_url=self._address,
            timeout=self._timeout.total_seconds(),
            max_retries=0,
            max_completion_tokens=MOST_TOKENS,
            disable_streaming=True,
            use_responses_api=False,
        )

    def _told(self, messages: Sequence[Any]) -> AgentAnswer:
        answers = [message for message in messages if message.type == "ai"]
        if not answers:
            raise DependencyLied(self.name, "the conversation ended without an answer", ADDRESS)
        tokens = sum(int((message.usage_metadata or {}).get("total_tokens", 0)) for message in answers)
        return AgentAnswer(
            text=_text(answers[-1].content),
            calls=tuple(str(call["name"]) for message in answers for call in message.tool_calls),
            model=self.name,
            tokens=tokens,
            cost_usd=tokens * self._price / 1_000_000,
        )


def _tool(tool: AgentTool) -> Any:
    from langchain_core.tools import StructuredTool

    def run(**kwargs: Any) -> str:
        return tool.call(kwargs)

    return StructuredTool.from_function(
        func=run, name=tool.name, description=tool.description, args_schema=dict(tool.schema), handle_tool_error=True
    )


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "\n".join(str(part.get("text", "")) if isinstance(part, dict) else str(part) for part in parts)


class _Vendor:
    """Around a run: the errors of SDK and graph become ours."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        from langgraph.errors import GraphRecursionError

        if isinstance(error, GraphRecursionError):
            raise BudgetExhausted(f"{self._name} went on calling tools and came to no answer") from error
        if isinstance(error, openai.OpenAIError | httpx.HTTPError):
            raise explained(self._name, error) from error
        if isinstance(error, ValueError | TypeError | KeyError | AttributeError):
            raise DependencyLied(self._name, f"its answer cannot be read: {type(error).__name__}", ADDRESS) from error
