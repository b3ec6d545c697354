// Start generation
const response = await api.post(`/workflow/${workflowId}/step10`);

// Poll for status
const interval = setInterval(async () => {
  const status = await api.get(`/workflow/${workflowId}/step10/status`);

  if (status.data.data.allComplete) {
    clearInterval(interval);
    console.log('Generation complete!');
  }
}, 5000);
