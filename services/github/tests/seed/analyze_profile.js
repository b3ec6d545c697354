async function analyzeProfile(username) {
  // Start analysis
  const response = await fetch('/api/v1/github/analyze', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ username })
  });

  const result = await response.json();
  const taskId = result.user_data.task_id;

  // Poll for completion
  const pollStatus = async () => {
    const statusResponse = await fetch(`/api/v1/github/task/${taskId}`);
    const status = await statusResponse.json();

    if (status.status === 'completed') {
      // Analysis complete, use status.result
      displayResults(status.result);
    } else if (status.status === 'processing') {
      // Still processing, continue polling
      setTimeout(pollStatus, 2000);
    } else {
      // Handle error
      displayError(status.message);
    }
  };

  // Start polling
  setTimeout(pollStatus, 2000);
}
